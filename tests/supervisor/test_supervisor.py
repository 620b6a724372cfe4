"""The supervisor with real processes: what it promises about lives, deaths, ports and descriptors."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import READY, SERVE, Running, gone, process, program, stopped, wait_for

Make = Callable[..., Running]
ECHO = READY + (
    "import socket\n"
    "listener = socket.socket(fileno=int(sys.argv[2]))\n"
    "while True:\n"
    "    connection, _ = listener.accept()\n"
    "    connection.sendall(str(os.getpid()).encode()); connection.close()\n"
)
BOTH = READY + (
    "import socket\n"
    "said, device = (coap := socket.socket(fileno=int(sys.argv[2]))).recvfrom(100)\n"
    "coap.sendto(str(os.getpid()).encode(), device)\n"
    "connection, _ = socket.socket(fileno=int(sys.argv[3])).accept()\n"
    "connection.sendall(str(os.getpid()).encode()); connection.close()\n"
    "signal.pause()\n"
)
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "while True: signal.pause()\n"
)
FDS = READY + (
    "fds = [f'/proc/self/fd/{n}' for n in range(100)]\n"
    "names = [os.readlink(fd) for fd in fds if os.path.lexists(fd)]\n"
    "print(sorted(name.split(':')[0] for name in names), flush=True)\n"
    "signal.pause()\n"
)
LEAVES = READY + "pid = os.fork()\nif pid: print(pid, flush=True)\nsignal.pause()\n"


def ask(port: int) -> int:
    """Return the pid of whoever serves the port."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        return int(connection.recv(100))


def test_a_process_is_ready_when_it_says_so_with_what_it_said(supervise: Make) -> None:
    with supervise(process("node")) as running:
        ready = running.until("ready")
        assert (ready["name"], ready["pid"], ready["details"]) == ("node", running.pids["node"], {"said": 1})
        assert running.state()["node"]["state"] == "ready"
        assert running.state()["supervisor"]["pid"] == running.popen.pid


def test_a_process_that_says_nonsense_is_ready_all_the_same(supervise: Make) -> None:
    with supervise(
        process("node", "import os, sys, signal; os.write(int(sys.argv[1]), b'up!\\n'); signal.pause()")
    ) as running:
        assert running.until("odd")["name"] == "node"
        assert running.until("ready")["details"] == {}


def test_a_killed_process_is_restarted_and_the_state_file_knows(supervise: Make) -> None:
    with supervise(process("node"), process("deep")) as running:
        running.ready("node", "deep")
        first = running.pids["node"]
        os.kill(first, signal.SIGKILL)
        assert running.until("died")["code"] == -signal.SIGKILL
        assert running.until("restarting")["delay"] == 0.0
        assert running.until("ready", "node")["pid"] != first
        state = running.state()
        assert (state["node"]["pid"], state["node"]["restarts"]) == (running.pids["node"], 1)
        assert state["deep"]["restarts"] == 0


def test_a_device_that_connects_while_the_process_is_dead_waits_instead_of_being_refused(
    supervise: Make,
) -> None:
    with supervise(process("node", ECHO, "{fd:mqtt}"), listeners={"mqtt": 0}) as running:
        port = running.until("listening")["ports"]["mqtt"]
        running.ready("node")
        assert ask(port) == running.pids["node"]
        os.kill(running.pids["node"], signal.SIGSTOP)
        wait_for(
            lambda: stopped(running.pids["node"])
        )  # until then it may take the connection, and die with it
        with socket.create_connection(("127.0.0.1", port), timeout=20) as waiting:
            os.kill(running.pids["node"], signal.SIGKILL)
            running.until("ready", "node")
            assert int(waiting.recv(100)) == running.pids["node"]


def test_datagrams_and_connections_at_a_path_wait_for_the_next_life_too(
    tmp_path: Path, supervise: Make
) -> None:
    path = tmp_path / "door.sock"
    listeners = {"coap": {"udp": ["127.0.0.1", 0]}, "door": {"unix": str(path), "mode": 0o660}}
    with supervise(process("node", BOTH, "{fd:coap}", "{fd:door}"), listeners=listeners) as running:
        ports = running.until("listening")["ports"]
        assert set(ports) == {"coap"}  # a path has none
        assert path.stat().st_mode & 0o777 == 0o660
        running.ready("node")
        os.kill(running.pids["node"], signal.SIGSTOP)
        wait_for(lambda: stopped(running.pids["node"]))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device,
            socket.socket(socket.AF_UNIX) as tool,
        ):
            device.settimeout(20)
            tool.settimeout(20)
            device.sendto(b"hello", ("127.0.0.1", ports["coap"]))
            tool.connect(str(path))
            os.kill(running.pids["node"], signal.SIGKILL)
            running.until("ready", "node")
            assert int(device.recv(100)) == running.pids["node"]
            assert int(tool.recv(100)) == running.pids["node"]
        running.say("stop")
        running.rest()
        assert not path.exists()


def test_a_path_that_a_killed_supervisor_has_left_is_taken_over_and_a_living_ones_is_not(
    tmp_path: Path, supervise: Make
) -> None:
    path = tmp_path / "door.sock"
    listeners = {"door": {"unix": str(path)}}
    with supervise(process("node"), listeners=listeners) as first:
        first.ready("node")
        with supervise(process("node"), listeners=listeners) as second:
            (failed,) = second.rest()
            assert (failed["address"], failed["reason"]) == (f"unix:{path}", "Address already in use")
        first.popen.kill()
        first.popen.wait()
    assert path.exists()
    with supervise(process("node"), listeners=listeners) as third:
        third.ready("node")


def test_a_process_has_no_descriptor_that_it_did_not_ask_for(supervise: Make) -> None:
    listens = process("node", FDS, "{fd:mqtt}")
    with supervise(listens, process("hub", FDS), listeners={"mqtt": 0, "http": 0}) as running:
        running.ready("node", "hub")
        wait_for(lambda: bool(running.log("node") and running.log("hub")))
        log = str(running.folder / "logs")
        assert running.log("node").strip() == str(
            sorted(["/dev/null", f"{log}/node.log", f"{log}/node.log", "socket"])
        )
        assert running.log("hub").strip() == str(sorted(["/dev/null", f"{log}/hub.log", f"{log}/hub.log"]))


def test_what_processes_write_is_their_owners_alone(tmp_path: Path, supervise: Make) -> None:
    made, before = tmp_path / "made", os.umask(0o022)
    try:
        with supervise(
            process("node", "import sys; open(sys.argv[2], 'w').close()\n" + SERVE, str(made))
        ) as running:
            running.ready("node")
            assert made.stat().st_mode & 0o777 == 0o600
            assert running.state_file.stat().st_mode & 0o777 == 0o600
            assert (running.folder / "logs").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_what_the_supervisor_was_born_with_reaches_nobody(tmp_path: Path, supervise: Make) -> None:
    running = supervise(process("node", FDS))
    with (tmp_path / "lock").open("w") as lock:
        popen = subprocess.Popen(
            [sys.executable, "-m", "rimward_supervisor", str(tmp_path / "spec.json")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(lock.fileno(),),
        )  # fmt: skip
        with popen:
            wait_for(lambda: (tmp_path / "logs" / "node.log").exists() and bool(running.log("node")))
            assert "lock" not in running.log("node")
            assert Path(f"/proc/{popen.pid}/fd/{lock.fileno()}").readlink().name == "lock"
            assert popen.stdin is not None
            popen.stdin.close()


def test_a_crash_loop_is_told_with_the_last_lines_of_its_log(supervise: Make) -> None:
    with supervise(
        {"name": "node", "argv": program("print('no such table'); raise SystemExit(3)")}
    ) as running:
        loop = running.until("crash-loop")
        assert (loop["name"], loop["code"], loop["log"]) == ("node", 3, ["no such table"])
        assert loop["restarts"] == 5


def test_a_program_that_is_not_there_is_told_like_any_other_death(supervise: Make) -> None:
    with supervise({"name": "bus", "argv": ["/no/such/server"]}) as running:
        died = running.until("died")
        assert died["code"] == 127
        assert "/no/such/server can't be started" in died["log"][0]


def test_a_folder_that_can_not_be_written_stops_nothing_and_is_told(supervise: Make) -> None:
    with supervise(process("node"), process("hub")) as running:
        running.ready("node", "hub")
        logs, away = running.folder / "logs", running.folder / "away"
        logs.rename(away)
        running.state_file.unlink()
        running.state_file.mkdir()  # a name that can't be replaced by a file
        os.kill(running.pids["node"], signal.SIGKILL)
        seen = [running.event() for _ in range(5)]
        assert [event["event"] for event in seen] == [
            "unwritten",
            "died",
            "restarting",
            "unlogged",
            "started",
        ]
        assert (seen[0]["what"], seen[0]["reason"]) == (str(running.state_file), "Is a directory")
        assert (seen[3]["name"], seen[3]["reason"]) == ("node", "No such file or directory")
        running.ready("node")
        running.state_file.rmdir()
        away.rename(logs)
        os.kill(running.pids["node"], signal.SIGKILL)
        running.ready("node")
        assert running.state()["node"]["restarts"] == 2
        assert "unlogged" not in [event["event"] for event in seen[5:]]


def test_a_state_file_that_could_not_be_written_is_written_when_it_can_be(supervise: Make) -> None:
    running = supervise(process("node"))
    running.state_file.mkdir()
    with running:
        running.ready("node")
        running.state_file.rmdir()
        wait_for(running.state_file.exists)
        assert running.state()["node"]["state"] == "ready"


def test_a_process_that_can_not_be_had_is_tried_again_later(supervise: Make) -> None:
    with supervise(process("node")) as running:
        running.ready("node")
        supervisor = running.popen.pid
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, before[1]))  # no descriptor is left
        os.kill(running.pids["node"], signal.SIGKILL)
        first, second = running.until("unstarted"), running.until("unstarted")
        assert (first["name"], first["reason"]) == ("node", "Too many open files")
        assert second["delay"] > first["delay"]
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
        running.ready("node")


def test_all_stop_in_reverse_order_and_the_state_file_goes(supervise: Make) -> None:
    with supervise(process("bus"), process("hub"), process("node")) as running:
        running.ready("bus", "hub", "node")
        running.say("stop")
        stopped = [event for event in running.rest() if event["event"] == "stopped"]
        assert [event["name"] for event in stopped] == ["node", "hub", "bus"]
        assert [event["code"] for event in stopped] == [-signal.SIGTERM] * 3
        assert running.popen.wait() == 0
        assert not (running.folder / "processes.json").exists()


def test_sigterm_stops_all_like_the_command(supervise: Make) -> None:
    with supervise(process("bus"), process("node")) as running:
        running.ready("bus", "node")
        running.popen.send_signal(signal.SIGTERM)
        assert [event["event"] for event in running.rest()] == ["stopping", "stopped", "stopped"]
        assert running.popen.wait() == 0


def test_who_ignores_sigterm_is_killed_after_its_grace(supervise: Make) -> None:
    with supervise(process("node", DEAF, grace=0.05)) as running:
        running.ready("node")
        running.say("stop")
        assert running.until("killed")["name"] == "node"
        assert running.until("stopped")["code"] == -signal.SIGKILL


def test_asked_to_stop_twice_it_kills_at_once(supervise: Make) -> None:
    with supervise(process("node", DEAF, grace=3600.0)) as running:
        running.ready("node")
        running.say("stop")
        running.until("stopping")
        running.say("stop")
        assert running.until("stopped")["code"] == -signal.SIGKILL


def test_a_restart_by_command_is_no_death(supervise: Make) -> None:
    with supervise(process("node", ECHO, "{fd:mqtt}"), listeners={"mqtt": 0}) as running:
        port = running.until("listening")["ports"]["mqtt"]
        running.ready("node")
        first = running.pids["node"]
        running.say("restart node")
        events = [running.event()["event"] for _ in range(3)]
        assert events == ["stopped", "started", "ready"]
        assert ask(port) == running.pids["node"] != first
        assert running.state()["node"]["restarts"] == 1


@pytest.mark.parametrize("command", ["restart nobody", "dance", "restart"])
def test_a_command_that_makes_no_sense_is_refused_and_changes_nothing(supervise: Make, command: str) -> None:
    with supervise(process("node")) as running:
        running.ready("node")
        running.say("\n" + command)
        assert running.until("refused")["command"] == command
        assert not gone(running.pids["node"])


def test_a_process_that_waits_is_started_by_command_and_once_means_once(supervise: Make) -> None:
    once = {"name": "replay", "argv": program("print('played')"), "once": True, "waits": True}
    with supervise(process("node"), once) as running:
        running.ready("node")
        assert running.state()["replay"]["state"] == "ended"
        running.say("restart replay")
        ended = running.until("ended")
        assert (ended["code"], ended["log"]) == (0, ["played"])
        assert running.state()["replay"]["restarts"] == 0


def test_a_server_that_can_not_say_so_is_ready_when_it_takes_connections(supervise: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = list(server.getsockname())
        with supervise(
            {"name": "bus", "argv": program("import signal; signal.pause()"), "connect": address}
        ) as running:
            assert running.until("ready")["name"] == "bus"


def test_the_end_of_standard_input_stops_everything(supervise: Make) -> None:
    with supervise(process("bus"), process("node")) as running:
        running.ready("bus", "node")
        assert running.popen.stdin is not None
        running.popen.stdin.close()
        assert running.popen.wait() == 0
        assert all(map(gone, running.pids.values()))


def test_killed_itself_it_takes_all_with_it_and_no_port_is_left(supervise: Make) -> None:
    with supervise(process("node", DEAF), process("hub", DEAF), listeners={"mqtt": 0}) as running:
        port = running.until("listening")["ports"]["mqtt"]
        running.ready("node", "hub")
        running.popen.kill()
        running.popen.wait()
        wait_for(lambda: all(map(gone, running.pids.values())))
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_starter_that_is_killed_leaves_nothing_behind(tmp_path: Path, supervise: Make) -> None:
    running = supervise(process("node", SERVE), listeners={"mqtt": 0})
    starter = (
        "import subprocess, sys, signal\n"
        f"command = [{sys.executable!r}, '-m', 'rimward_supervisor', {str(tmp_path / 'spec.json')!r}]\n"
        "pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child = subprocess.Popen(command, **pipes, start_new_session=True)\n"
        "for line in child.stdout:\n"
        "    if b'\"ready\"' in line: break\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as dev:
        assert dev.stdout is not None
        supervisor = int(dev.stdout.readline())
        node = running.state()["node"]["pid"]
        dev.kill()
        wait_for(lambda: gone(supervisor) and gone(node))


def test_what_a_dead_process_left_behind_goes_with_it(supervise: Make) -> None:
    with supervise(process("hub", LEAVES)) as running:
        running.ready("hub")
        wait_for(lambda: bool(running.log("hub")))
        worker = int(running.log("hub"))
        os.kill(running.pids["hub"], signal.SIGKILL)
        running.until("ready", "hub")
        wait_for(lambda: gone(worker))


def test_a_port_in_use_is_told_and_nothing_is_started(supervise: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with supervise(process("node"), listeners={"mqtt": port}) as running:
            (failed,) = running.rest()
            assert (failed["event"], failed["what"], failed["name"]) == ("failed", "listen", "mqtt")
            assert (failed["port"], failed["reason"]) == (port, "Address already in use")
            assert running.popen.wait() == 1
            assert not (running.folder / "processes.json").exists()


def test_a_spec_that_is_not_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "rimward_supervisor", str(tmp_path / "spec.json")],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert '"what": "start"' in done.stdout
    assert not done.stderr


def fault(running: Running, **kinds: float) -> None:
    """Write who is to stand still for how many seconds from now."""
    now = time.time_ns()
    said = {kind: {"since": now, "until": now + round(seconds * 1e9)} for kind, seconds in kinds.items()}
    (running.folder / "faults.new").write_text(json.dumps(said))
    (running.folder / "faults.json").unlink(missing_ok=True)
    (running.folder / "faults.new").rename(running.folder / "faults.json")


def test_a_process_that_a_fault_names_stands_still_and_goes_on_when_it_is_over(supervise: Make) -> None:
    with supervise(process("hub"), process("ingest-2"), process("node"), faults=True) as running:
        running.ready("hub", "ingest-2", "node")
        fault(running, hub=3600)
        halted = {running.until("halted")["name"] for _ in range(2)}
        assert halted == {"hub", "ingest-2"}
        wait_for(lambda: stopped(running.pids["hub"]))
        assert not stopped(running.pids["node"])
        fault(running, bus=3600)  # another file: whoever wrote the first need not be there any more
        assert {running.until("continued")["name"] for _ in range(2)} == {"hub", "ingest-2"}
        wait_for(lambda: not stopped(running.pids["hub"]))


def test_a_fault_ends_by_itself(supervise: Make) -> None:
    with supervise(process("bus"), faults=True) as running:
        running.ready("bus")
        fault(running, bus=1.2)
        running.until("halted", "bus")
        running.until("continued", "bus")


def test_a_process_that_stands_still_stops_in_order(supervise: Make) -> None:
    with supervise(process("bus"), faults=True) as running:
        running.ready("bus")
        fault(running, bus=3600)
        running.until("halted", "bus")
        running.say("stop")
        assert running.until("stopped", "bus")["code"] == -signal.SIGTERM


@pytest.mark.parametrize("nonsense", ["{", "[]", '{"bus": 3}', '{"bus": {"since": 0}}'])
def test_a_file_of_faults_that_makes_no_sense_stops_nobody(supervise: Make, nonsense: str) -> None:
    with supervise(process("bus"), process("hub"), faults=True) as running:
        (running.folder / "faults.json").write_text(nonsense)
        running.ready("bus", "hub")
        fault(running, hub=3600)
        assert running.until("halted")["name"] == "hub"
