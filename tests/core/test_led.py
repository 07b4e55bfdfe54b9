"""led.py: each word of the alphabet can be told from every other by looking."""

import led


def spans(state, from_ms=0, to_ms=3000):
    """How long the LED is lit and dark in turn, in ms: [[level, ms], ...]."""
    found = []
    for ms in range(from_ms, to_ms, 10):
        level = led.lit(state, ms)
        if not found or found[-1][0] != level:
            found.append([level, 0])
        found[-1][1] += 10
    return found


def test_the_steps_flash_as_often_as_their_number():
    for state in (led.NETWORK, led.CLOCK, led.DPS, led.HUB):
        found = spans(state)
        assert [ms for level, ms in found if level] == [250] * state
        assert found[-1][0] is False
        assert found[-1][1] >= 1000  # a pause that ends the word
        assert spans(state, 3000, 6000) == found


def test_steady_is_lit_and_dark_is_not():
    assert spans(led.STEADY) == [[True, 3000]]
    assert spans(led.DARK) == [[False, 3000]]


def test_a_fault_flickers_without_a_pause():
    assert spans(led.FAULT) == [[True, 100], [False, 100]] * 15


def test_no_two_words_look_the_same():
    named = [led.DARK, led.NETWORK, led.CLOCK, led.DPS, led.HUB, led.STEADY, led.FAULT]
    assert named == list(range(7))
    for one in range(7):
        for other in range(one):
            assert spans(one) != spans(other)


class Device:
    served = False
    phase = ""


def test_a_device_shows_its_phase():
    device = Device()
    levels = []
    show = led.shower(device, levels.append)
    for phase, word in (
        ("", led.NETWORK),
        ("wifi", led.NETWORK),
        ("ethernet", led.NETWORK),
        ("clock", led.CLOCK),
        ("register", led.DPS),
        ("serve", led.HUB),
        ("fault", led.FAULT),
        ("sleep", led.DARK),
    ):
        for served in (False, True):
            device.phase, device.served = phase, served
            levels.clear()
            for ms in range(0, 3000, 10):
                show(ms)
            wanted = led.STEADY if served and word == led.HUB else word
            assert levels == [led.lit(wanted, ms) for ms in range(0, 3000, 10)], phase


def test_any_ticks_will_do():
    for state in range(7):
        for ms in (0, (1 << 30) - 1, -1, -(1 << 29)):
            assert led.lit(state, ms) in (True, False)
