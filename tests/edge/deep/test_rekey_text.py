"""What the deep process asks of the outbox's writer when its hub knows another disk of its name."""

from rimward.edge.deep.greeting import rekey_text
from rimward.edge.outbox.rekeying import Rekey, moving
from rimward.wire import Mark, Welcome


def test_the_writer_is_told_which_starts_the_hub_knows_and_moves_those_that_are_not_its_own() -> None:
    marks = (Mark("warm", "t", 0, 1, 5, 77, 3),)
    welcome = Welcome("rekey", "h", 6, marks, epochs=((3, 30), (4, 40), (5, 77)))
    epochs = {3: 30, 4: 40, 5: 50, 6: 60}
    known = Rekey.decode(rekey_text(welcome, epochs))
    assert known == Rekey(6, {3: 30, 4: 40, 5: 77})
    lasts = {(counter, "warm"): 1 for counter in epochs}
    assert moving(known, epochs, lasts) == {5: ["warm"], 6: ["warm"]}
