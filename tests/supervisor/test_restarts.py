from rimward_supervisor.restarts import LOOP_DEATHS, LOOP_WINDOW, STEADY, Restarts


def test_the_first_restart_is_immediate_and_the_next_ones_wait_longer_up_to_five_seconds() -> None:
    restarts = Restarts()
    delays = [restarts.died(float(at), lived=0.1) for at in range(8)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_a_process_that_lived_a_while_is_restarted_at_once_again() -> None:
    restarts = Restarts()
    for at in range(4):
        restarts.died(float(at), lived=0.1)
    assert restarts.died(10.0, lived=STEADY) == 0.0
    assert restarts.died(10.1, lived=0.1) == 0.1


def test_deaths_close_together_are_a_loop() -> None:
    restarts = Restarts()
    for at in range(LOOP_DEATHS - 1):
        restarts.died(float(at), lived=0.1)
        assert not restarts.looping
    restarts.died(float(LOOP_DEATHS), lived=0.1)
    assert restarts.looping


def test_deaths_far_apart_are_no_loop() -> None:
    restarts = Restarts()
    for at in range(20):
        restarts.died(at * LOOP_WINDOW / 3, lived=10.0)
    assert not restarts.looping
