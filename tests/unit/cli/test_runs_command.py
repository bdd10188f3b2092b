"""``keensight runs``, run in this process."""

from pathlib import Path

from store_builders import make_run


def test_runs_of_a_folder_that_is_not_there_is_an_error(answer, place):
    assert answer("runs").out == "no runs in runs\n"
    assert answer("runs", "nowhere", code=1).err.startswith("error: nowhere does not exist\n")


def test_no_runs_is_no_error(answer, document):
    assert document("runs") == []
    assert answer("runs").out == "no runs in runs\n"


def test_a_run_that_is_given_twice_is_deleted_once(document, place):
    make_run(Path("a")).update(state="finished")
    deleted = document("runs", "delete", "a", str(place / "a"), "--yes")
    assert [one["run"] for one in deleted] == ["a"]
    assert not Path("a").exists()
