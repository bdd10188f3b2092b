"""Files of a public git repository at one commit, fetched without those of 4 MiB and more."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from types import TracebackType

LIMIT = 4 << 20
"""Files of so many bytes and more are not fetched, and do not exist for a set."""


def fetched(name: str, commit: str, folder: Path, host: str = "https://github.com") -> Path:
    """The git directory of ``owner/name`` in ``folder``, with the one commit fetched unless it is there.

    Raises:
        subprocess.CalledProcessError: the repository or the commit cannot be fetched.
    """
    target = folder / name.replace("/", "+")
    if not (target / "objects").is_dir():
        target.mkdir(parents=True, exist_ok=True)
        _git(target, "init", "--bare", "--quiet")
    if subprocess.run(["git", "--git-dir", target, "cat-file", "-e", commit], capture_output=True).returncode:
        url = f"{host}/{name}"
        _git(target, "fetch", "--quiet", "--depth", "1", f"--filter=blob:limit={LIMIT}", url, commit)
        # Otherwise git would fetch a missing file, one by one, when it is asked for.
        subprocess.run(["git", "--git-dir", target, "config", "--unset-all", "extensions.partialClone"])
        subprocess.run(["git", "--git-dir", target, "config", "--remove-section", f"remote.{url}"], capture_output=True)
    return target


def mirrored(name: str, folder: Path) -> Path:
    """The git directory of ``owner/name`` among copies in ``folder``, each called ``owner+name``.

    Raises:
        SystemExit: there is none.
    """
    base = folder / name.replace("/", "+")
    for candidate in (base / "repo" / ".git", base / "repo", base / ".git", base):
        if (candidate / "objects").is_dir():
            return candidate
    raise SystemExit(f"no git directory of {name} in {folder}")


class Repository:
    """The files of one commit."""

    def __init__(self, folder: Path, commit: str) -> None:
        self._folder = folder
        self.hashes: dict[str, str] = {}
        """Path of each file, and the hash of its bytes."""
        for entry in _git(folder, "ls-tree", "-r", "-z", commit).decode("utf-8", "surrogateescape").split("\0"):
            if entry:
                head, path = entry.split("\t", 1)
                self.hashes[path] = head.split()[2]
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._reader = subprocess.Popen(
            ["git", "--git-dir", folder, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reader.stdin and self._reader.stdout
        self._reader.stdin.close()
        self._reader.stdout.close()
        self._reader.wait()

    def present(self, paths: list[str]) -> list[str]:
        """Those of the paths whose files are there and below the limit."""
        asked = "".join(f"{self.hashes[path]}\n" for path in paths)
        lines = _git(self._folder, "cat-file", "--batch-check=%(objectsize)", text=asked).decode().splitlines()
        sizes = (LIMIT if line.endswith("missing") else int(line) for line in lines)
        return [path for path, size in zip(paths, sizes, strict=True) if size < LIMIT]

    def names(self, archive: str) -> list[str]:
        """Paths of the files in a zip file of the repository: ``archive!name``."""
        return [f"{archive}!{name}" for name in self._archive(archive).namelist()]

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: the git directory lacks them.
        """
        outer, _, inner = path.partition("!")
        if inner:
            return self._archive(outer).read(inner)
        assert self._reader.stdin and self._reader.stdout
        self._reader.stdin.write(f"{self.hashes[path]}\n".encode())
        self._reader.stdin.flush()
        head = self._reader.stdout.readline().split()
        if len(head) < 3:
            raise FileNotFoundError(path)
        data = self._reader.stdout.read(int(head[2]))
        self._reader.stdout.read(1)
        return data

    def _archive(self, path: str) -> zipfile.ZipFile:
        if path not in self._archives:
            self._archives[path] = zipfile.ZipFile(io.BytesIO(self.read(path)))
        return self._archives[path]


def _git(folder: Path, *arguments: str, text: str | None = None) -> bytes:
    command = ["git", "--git-dir", str(folder), *arguments]
    data = None if text is None else text.encode()
    done: subprocess.CompletedProcess[bytes] = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout
