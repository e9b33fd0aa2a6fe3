"""Regions of speech and how they are joined, in frames."""

from slimspeech.longform.vad_regions import Groups, Region, Regions


def regions(probabilities, quietness=None, threshold=0.5, min_silence=3, longest=100):
    finder = Regions(threshold, min_silence, longest)
    quietness = quietness or [-p for p in probabilities]
    closed = []
    for frame, (p, q) in enumerate(zip(probabilities, quietness, strict=True)):
        closed += finder.push(p, q, frame)
    return [(r.start, r.end) for r in [*closed, *finder.finish(len(probabilities))]]


def test_speech_ends_where_its_pause_begins():
    assert regions([0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1]) == [(2, 5), (9, 11)]


def test_a_short_pause_does_not_end_speech():
    assert regions([1, 1, 0, 0, 1, 1, 0, 0, 0]) == [(0, 6)]


def test_speech_continues_while_the_detector_is_unsure():
    # 0.4 is below the threshold of 0.5 but not by 0.15.
    assert regions([1, 0.4, 0.4, 0.4, 0.4, 1, 0, 0, 0]) == [(0, 6)]
    assert regions([0.4, 0.4, 0.4, 0.4]) == []


def test_a_pause_at_the_end_is_not_speech():
    assert regions([1, 1, 0, 0]) == [(0, 2)]


def test_long_speech_is_cut_at_the_quietest_frame_of_its_second_half():
    sure = [0.9] * 24
    sure[1] = 0.6  # quieter, but in the first half
    sure[7] = sure[15] = 0.7
    assert regions(sure, longest=10) == [(0, 7), (7, 15), (15, 24)]
    # All frames equal: in the middle of the half.
    assert regions([0.9] * 12, longest=10) == [(0, 7), (7, 12)]


def test_a_cut_loses_nothing_and_keeps_the_limit():
    sure = [0.9, 0.6, 0.8, 0.7] * 50
    parts = regions(sure, longest=9)
    assert parts[0][0] == 0 and parts[-1][1] == 200
    assert all(end == start for (_, end), (start, _) in zip(parts, parts[1:], strict=False))
    assert all(0 < end - start <= 9 for start, end in parts)


def joined(regions, longest=20, max_pause=10):
    groups = Groups(longest, max_pause)
    finished = [group for region in regions for group in groups.push(Region(*region))]
    return [
        ([(r.start, r.end) for r in group], following)
        for group, following in [*finished, *groups.finish()]
    ]


def test_neighbours_are_joined_up_to_the_longest():
    assert joined([(0, 5), (6, 10), (12, 20)]) == [([(0, 5), (6, 10), (12, 20)], None)]


def test_a_long_pause_separates_even_short_ones():
    assert joined([(0, 3), (14, 17)]) == [([(0, 3)], 14), ([(14, 17)], None)]
    assert joined([(0, 3), (13, 17)]) == [([(0, 3), (13, 17)], None)]


def test_a_long_group_is_cut_at_the_longest_pause_of_its_second_half():
    # Pauses of 4, 1, 3, 1 and 2; the first is the longest, but leaves a segment of 3.
    talk = [(0, 3), (7, 9), (10, 12), (15, 17), (18, 20), (22, 25)]
    assert joined(talk) == [
        ([(0, 3), (7, 9), (10, 12)], 15),
        ([(15, 17), (18, 20), (22, 25)], None),
    ]


def test_of_equal_pauses_the_last_is_taken():
    talk = [(0, 11), (12, 15), (16, 19), (20, 25)]
    assert joined(talk) == [([(0, 11), (12, 15), (16, 19)], 20), ([(20, 25)], None)]


def test_a_rest_that_is_too_long_is_cut_again():
    # Cut at the pause of 3 after 12; the rest, from 15 on, is too long with the next one too.
    talk = [(0, 12), (15, 20), (21, 40)]
    assert joined(talk) == [([(0, 12)], 15), ([(15, 20)], 21), ([(21, 40)], None)]


def test_silence_finishes_a_group_without_waiting_for_more_speech():
    groups = Groups(longest=20, max_pause=10)
    groups.push(Region(0, 5))
    assert groups.wait(15) == [] and groups.start == 0
    [(group, _)] = groups.wait(16)
    assert group == [Region(0, 5)] and groups.start is None
    assert groups.finish() == []
