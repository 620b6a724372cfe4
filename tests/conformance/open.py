"""What a node does not do yet. The tables are complete when nothing stands here, and this file is deleted.

Test (`file::test`, one parametrisation or all) to the reason. A test that stands here must fail: once it
passes, the run fails until its line is taken out.
"""

OPEN: dict[str, str] = {}
