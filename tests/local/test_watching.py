import os
from pathlib import Path

from rimward.local.watching import Changes, stamps


def test_a_save_is_told_once_when_two_looks_agree() -> None:
    changes = Changes({"a.py": (1, 10)})
    assert not changes.see({"a.py": (1, 10)})
    assert not changes.see({"a.py": (2, 0)})  # cut, not yet written
    assert not changes.see({"a.py": (2, 12)})
    assert changes.see({"a.py": (2, 12)})
    assert not changes.see({"a.py": (2, 12)})


def test_a_save_that_is_taken_back_before_it_settled_is_none() -> None:
    changes = Changes({"a.py": (1, 10)})
    assert not changes.see({"a.py": (2, 10)})
    assert not changes.see({"a.py": (1, 10)})
    assert not changes.see({"a.py": (1, 10)})


def test_a_file_that_comes_or_goes_is_a_save() -> None:
    changes = Changes({"a.py": (1, 10)})
    both = {"a.py": (1, 10), "b.py": (1, 1)}
    assert [changes.see(both), changes.see(both)] == [False, True]
    assert [changes.see({"a.py": (1, 10)}), changes.see({"a.py": (1, 10)})] == [False, True]


def test_only_python_files_directly_in_the_folder_are_watched(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name in ("a.py", "notes.txt", "deeper/b.py"):
        (tmp_path / name).write_text("x")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    os.utime(tmp_path / "a.py", ns=(5, 7))
    assert stamps([tmp_path, tmp_path / "none"]) == {str(tmp_path / "a.py"): (7, 1)}
