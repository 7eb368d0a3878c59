"""What every kind of frames promises, as laws of frames and the movie that was written; run them on yours too."""

import numpy as np


def its_frames_are_those_that_were_written(frames, movie):
    np.testing.assert_array_equal(list(frames.read(range(len(movie)))), movie)


def some_frames_are_read_without_the_others(frames, movie):
    for rows in ([0], [len(movie) - 1], range(0, len(movie), 2), range(1, len(movie)), []):
        got = list(frames.read(rows))
        assert len(got) == len(rows)
        for frame, row in zip(got, rows, strict=True):
            np.testing.assert_array_equal(frame, movie[row])


def the_header_tells_what_is_read(frames, movie):
    assert frames.header.shape == movie.shape[1:]
    assert len(frames.numbers) == len(movie)
    assert list(frames.numbers) == list(range(frames.numbers[0], frames.numbers[0] + len(movie)))
    for frame in frames.read(range(len(movie))):
        assert frame.shape == frames.header.shape
        assert frame.dtype == frames.header.dtype.newbyteorder("=")


def frames_are_in_the_byte_order_of_the_machine_and_in_one_piece(frames, movie):
    for frame in frames.read(range(len(movie))):
        assert frame.dtype.isnative
        assert frame.flags.c_contiguous


def frames_may_be_read_again(frames, movie):
    first, second = frames.read([0, 1]), frames.read([0, 1])
    for a, b in zip(first, second, strict=True):  # one reader does not disturb the other
        np.testing.assert_array_equal(a, b)


def a_frame_is_the_readers_own(frames, movie):
    for frame in frames.read([0]):
        frame[...] = 0
    np.testing.assert_array_equal(next(iter(frames.read([0]))), movie[0])


LAWS = [
    its_frames_are_those_that_were_written,
    some_frames_are_read_without_the_others,
    the_header_tells_what_is_read,
    frames_are_in_the_byte_order_of_the_machine_and_in_one_piece,
    frames_may_be_read_again,
    a_frame_is_the_readers_own,
]
