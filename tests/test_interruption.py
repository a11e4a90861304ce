"""A wish to stop is known in one place, ends what can end, and loses nothing that is to be kept."""

import os
import signal
import threading
import time

import pytest

from ecgcvx.interruption import check, keeping, note, raising, signals, stoppable, wanted


def interrupt(number=signal.SIGINT):
    os.kill(os.getpid(), number)  # handled at once in the main thread


def test_keeping_notes_a_signal_and_raises_it_in_stoppable_blocks_alone():
    done = []
    with keeping():
        with stoppable() as first:
            done.append("first")
        assert not first.stopped
        interrupt()
        done.append("between")
        assert wanted()
        with pytest.raises(KeyboardInterrupt):
            check()
        with stoppable() as second:
            interrupt()
            done.append("never")
        assert second.stopped
        with pytest.raises(KeyboardInterrupt), raising():
            interrupt()
        done.append("kept")
    assert done == ["first", "between", "kept"]
    assert not wanted()
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_block_inside_a_stoppable_one_keeps_until_its_end():
    seen = []
    with keeping(), stoppable() as loop:
        with keeping():
            interrupt()
            seen.append("a file is written to its end")
        check()
        seen.append("never")
    assert loop.stopped
    assert len(seen) == 1


def test_sigterm_is_ctrl_c_in_a_program_only():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), signals():
        interrupt(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    with signals(), keeping():
        interrupt(signal.SIGTERM)
        assert wanted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_stop_outside_any_block_is_forgotten_so_that_the_next_solve_runs():
    with stoppable() as loop:
        raise KeyboardInterrupt
    assert loop.stopped
    assert not wanted()
    note()
    assert not wanted()
    check()


def test_other_errors_pass_and_leave_no_trace():
    with pytest.raises(ZeroDivisionError), keeping(), stoppable():
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_handler_of_the_caller_stays_in_force():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("theirs"))
    try:
        with keeping():
            interrupt()
            assert not wanted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["theirs"]


def test_another_thread_may_use_the_blocks_and_sees_the_wish():
    seen = []

    def work():
        with keeping(), stoppable() as loop:
            raise KeyboardInterrupt
        seen.append((loop.stopped, wanted()))

    with signals():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [(True, True)]


class Dropping:
    """What its destructor raises, Python drops."""

    def __del__(self):
        interrupt()


def wait_for_it():
    for _ in range(500):
        time.sleep(0.01)


def test_what_python_drops_is_raised_again(capsys):
    with keeping(), stoppable() as loop:
        Dropping()
        wait_for_it()
    assert loop.stopped
    with signals():
        Dropping()
        with pytest.raises(KeyboardInterrupt):
            wait_for_it()
    assert "KeyboardInterrupt" not in capsys.readouterr().err


def test_a_signal_on_the_way_into_a_block_ends_it(monkeypatch):
    from ecgcvx import interruption

    push = interruption._push

    def late(mode):
        push(mode)
        if mode is interruption._RAISE and not wanted():
            interruption._handle(signal.SIGINT, frame)

    monkeypatch.setattr(interruption, "_push", late)
    with keeping():
        frame = type("Frame", (), {"f_code": keeping.__wrapped__.__code__})()  # one of that module
        with stoppable() as loop:
            wait_for_it()
        assert loop.stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_its_handler_is_set_ends_the_program(monkeypatch, number):
    from ecgcvx import interruption

    frame = type("Frame", (), {"f_code": keeping.__wrapped__.__code__})()  # one of that module
    handle = signal.signal

    def at_once(one, handler):
        before = handle(one, handler)
        if one == number and handler is interruption._handle:
            interruption._handle(number, frame)
        return before

    monkeypatch.setattr(interruption.signal, "signal", at_once)
    with pytest.raises(KeyboardInterrupt), signals():
        pytest.fail("the program went on")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_signal_signal_leaves_every_handler_as_it_was(monkeypatch, number):
    """Python's `signal.signal` is a function of the module `signal`, in which a signal may come as well."""
    from ecgcvx import interruption

    late = """def late(one, handler):
        if one == number and handler is not ours:
            kill(process, number)
        return handle(one, handler)"""
    names = {"handle": signal.signal, "kill": os.kill, "process": os.getpid(), "number": number}
    names["ours"] = interruption._handle
    exec(compile(late, signal.__file__, "exec"), names)
    monkeypatch.setattr(interruption.signal, "signal", names["late"])
    with signals():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_between_blocks_that_fell_into_this_module_ends_the_next_one():
    from ecgcvx import interruption

    with signals():
        interruption._handle(signal.SIGINT, type("Frame", (), {"f_code": keeping.__wrapped__.__code__})())
        time.sleep(3 * interruption._MOMENT)
        with stoppable() as loop:
            wait_for_it()
        assert loop.stopped


def test_other_dropped_errors_reach_the_hook_of_the_caller(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: seen.append(what.exc_type))

    class Failing:
        def __del__(self):
            raise ZeroDivisionError

    with keeping():
        Failing()
    Failing()
    assert seen == [ZeroDivisionError, ZeroDivisionError]
