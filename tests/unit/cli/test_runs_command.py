"""``keensight runs``, run in this process."""


def test_runs_of_a_folder_that_is_not_there_is_an_error(answer, place):
    assert answer("runs").out == "no runs in runs\n"
    assert answer("runs", "nowhere", code=1).err.startswith("error: nowhere does not exist\n")


def test_no_runs_is_no_error(answer, document):
    assert document("runs") == []
    assert answer("runs").out == "no runs in runs\n"
