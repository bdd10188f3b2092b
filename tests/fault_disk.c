/* A disk that refuses, for tests: loaded with LD_PRELOAD, it lets the k-th call that changes a watched folder fail.

   Every function of the C library that creates, writes, renames, flushes or removes files is wrapped, so that Python,
   HDF5, Arrow and TensorFlow all meet the same disk. Python drives it through ctypes:

     faults_watch(folders)           absolute paths, separated by newlines
     faults_arm(k, error, mode)      from the k-th call on (from 1); k = 0: only count
     faults_count()                  calls since faults_arm; faults_hit(): how many of them failed
     faults_first()                  what failed first, as "call path"

   Modes: 0 only that call fails; 1 that and every later one; 2 as 1, but a disk that is full: the k-th call writes half
   of its bytes, if it writes, and files can still be removed and shrunk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, LASTING, FULL };
enum { FREES = 1, ON_FILE = 2 };  /* it takes no space; it works on a file that is open already */

static char watched[16][PATH_MAX];
static int watching;
static volatile long at, count, hits;
static volatile int armed, error_number, mode;
static char first[PATH_MAX + 64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

void faults_watch(const char *folders) {
    watching = 0;
    while (*folders && watching < 16) {
        size_t length = strcspn(folders, "\n");
        snprintf(watched[watching++], PATH_MAX, "%.*s", (int)length, folders);
        folders += length + (folders[length] == '\n');
    }
}

void faults_arm(long k, int error, int how) {
    pthread_mutex_lock(&lock);
    at = k; error_number = error; mode = how; count = hits = 0; first[0] = 0; armed = 1;
    pthread_mutex_unlock(&lock);
}

void faults_disarm(void) { armed = 0; }
long faults_count(void) { return count; }
long faults_hit(void) { return hits; }
const char *faults_first(void) { return first; }

static int is_watched(const char *path) {
    for (int i = 0; i < watching; i++) {
        size_t length = strlen(watched[i]);
        if (!strncmp(path, watched[i], length) && (path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

static int of_link(const char *link, char *path) {
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int of_descriptor(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return of_link(link, path);
}

static int absolute(int folder, const char *name, char *path) {
    char base[PATH_MAX];
    if (!name) return 0;
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !of_descriptor(folder, base)) return 0;
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX;
}

/* Whether this call fails: 0 no, 1 yes (errno is set), 2 it is the first to fail, on a disk that is full. */
static int refused(const char *call, const char *path, int kind) {
    int result = 0;
    if (!armed || !is_watched(path)) return 0;
    /* A full disk lets files be removed; permissions and a missing folder do not matter to a file that is open. */
    if (mode == FULL && (kind & FREES)) return 0;
    if ((error_number == EACCES) && (kind & ON_FILE)) return 0;
    pthread_mutex_lock(&lock);
    count++;
    if (at && (mode == ONCE ? count == at : count >= at)) {
        result = mode == FULL && count == at ? 2 : 1;
        if (!hits++) snprintf(first, sizeof first, "%s %s", call, path);
    }
    pthread_mutex_unlock(&lock);
    if (result) errno = error_number;
    return result;
}

static int refused_at(const char *call, int folder, const char *name, int kind) {
    char path[PATH_MAX];
    return armed && absolute(folder, name, path) && refused(call, path, kind);
}

static int refused_on(const char *call, int fd, int kind) {
    char path[PATH_MAX];
    return armed && of_descriptor(fd, path) ? refused(call, path, kind | ON_FILE) : 0;
}

/* Opening to write counts; on a full disk only where the file is new. */
static int refused_open(const char *call, int folder, const char *name, int flags) {
    char path[PATH_MAX];
    if (!armed || !(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))) return 0;
    if (!absolute(folder, name, path)) return 0;
    return refused(call, path, (flags & O_CREAT) && access(path, F_OK) ? 0 : FREES) != 0;
}

#define MODE(flags) \
    mode_t given = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); given = va_arg(list, mode_t); va_end(list); }

int open(const char *name, int flags, ...) {
    MODE(flags)
    return refused_open("open", AT_FDCWD, name, flags) ? -1 : REAL(open)(name, flags, given);
}
int open64(const char *name, int flags, ...) {
    MODE(flags)
    return refused_open("open", AT_FDCWD, name, flags) ? -1 : REAL(open64)(name, flags, given);
}
int openat(int folder, const char *name, int flags, ...) {
    MODE(flags)
    return refused_open("open", folder, name, flags) ? -1 : REAL(openat)(folder, name, flags, given);
}
int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags)
    return refused_open("open", folder, name, flags) ? -1 : REAL(openat64)(folder, name, flags, given);
}

static int flags_of(const char *how) {
    return how[0] == 'r' ? (strchr(how, '+') ? O_RDWR : O_RDONLY) : O_WRONLY | O_CREAT;
}
FILE *fopen(const char *name, const char *how) {
    return refused_open("fopen", AT_FDCWD, name, flags_of(how)) ? NULL : REAL(fopen)(name, how);
}
FILE *fopen64(const char *name, const char *how) {
    return refused_open("fopen", AT_FDCWD, name, flags_of(how)) ? NULL : REAL(fopen64)(name, how);
}

#define WRITE(CALL, FD, SIZE, WHOLE, HALF) \
    switch (refused_on(CALL, FD, 0)) { \
        case 0: return WHOLE; \
        case 2: if ((SIZE) > 1) return HALF; errno = error_number; return -1; \
        default: return -1; \
    }

ssize_t write(int fd, const void *data, size_t size) {
    WRITE("write", fd, size, REAL(write)(fd, data, size), REAL(write)(fd, data, size / 2))
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    WRITE("write", fd, size, REAL(pwrite)(fd, data, size, place), REAL(pwrite)(fd, data, size / 2, place))
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    WRITE("write", fd, size, REAL(pwrite64)(fd, data, size, place), REAL(pwrite64)(fd, data, size / 2, place))
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    return refused_on("write", fd, 0) ? -1 : REAL(writev)(fd, parts, n);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    return refused_on("write", to, 0) ? -1 : REAL(sendfile)(to, from, offset, size);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    return refused_on("write", to, 0) ? -1 : REAL(sendfile64)(to, from, offset, size);
}
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags) {
    return refused_on("write", to, 0) ? -1 : REAL(copy_file_range)(from, a, to, b, size, flags);
}
size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
    return refused_on("fwrite", fileno(file), 0) ? 0 : REAL(fwrite)(data, size, n, file);
}
int fflush(FILE *file) {
    return file && refused_on("fflush", fileno(file), 0) ? EOF : REAL(fflush)(file);
}
int fsync(int fd) { return refused_on("fsync", fd, 0) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return refused_on("fsync", fd, 0) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return refused_on("truncate", fd, FREES) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return refused_on("truncate", fd, FREES) ? -1 : REAL(ftruncate64)(fd, size); }
int fallocate(int fd, int how, off_t a, off_t b) { return refused_on("write", fd, 0) ? -1 : REAL(fallocate)(fd, how, a, b); }
int posix_fallocate(int fd, off_t a, off_t b) {
    return refused_on("write", fd, 0) ? error_number : REAL(posix_fallocate)(fd, a, b);
}
int posix_fallocate64(int fd, off64_t a, off64_t b) {
    return refused_on("write", fd, 0) ? error_number : REAL(posix_fallocate64)(fd, a, b);
}

int mkdir(const char *name, mode_t how) {
    return refused_at("mkdir", AT_FDCWD, name, 0) ? -1 : REAL(mkdir)(name, how);
}
int mkdirat(int folder, const char *name, mode_t how) {
    return refused_at("mkdir", folder, name, 0) ? -1 : REAL(mkdirat)(folder, name, how);
}
int rename(const char *from, const char *to) {
    return refused_at("rename", AT_FDCWD, to, 0) ? -1 : REAL(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    return refused_at("rename", b, to, 0) ? -1 : REAL(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return refused_at("rename", b, to, 0) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}
int link(const char *from, const char *to) { return refused_at("link", AT_FDCWD, to, 0) ? -1 : REAL(link)(from, to); }
int symlink(const char *from, const char *to) {
    return refused_at("link", AT_FDCWD, to, 0) ? -1 : REAL(symlink)(from, to);
}
int unlink(const char *name) { return refused_at("unlink", AT_FDCWD, name, FREES) ? -1 : REAL(unlink)(name); }
int unlinkat(int folder, const char *name, int flags) {
    return refused_at("unlink", folder, name, FREES) ? -1 : REAL(unlinkat)(folder, name, flags);
}
int remove(const char *name) { return refused_at("unlink", AT_FDCWD, name, FREES) ? -1 : REAL(remove)(name); }
int rmdir(const char *name) { return refused_at("rmdir", AT_FDCWD, name, FREES) ? -1 : REAL(rmdir)(name); }
int chmod(const char *name, mode_t how) {
    return refused_at("chmod", AT_FDCWD, name, FREES) ? -1 : REAL(chmod)(name, how);
}
int fchmod(int fd, mode_t how) { return refused_on("chmod", fd, FREES) ? -1 : REAL(fchmod)(fd, how); }
