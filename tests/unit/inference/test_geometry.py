from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from inference.geometry import Geometry, detector_spacing, patient_geometry
from tests.support.ct import ct, head

HEADER = pydicom.dcmread(BytesIO(ct(head(1))))


def placed(header, frame=0):
    geometry = patient_geometry(header, frame)
    assert geometry is not None
    return geometry


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.2, 2), st.floats(0.2, 2))
def test_millimetres_come_back_to_the_voxel(turn, tilt, down, across):
    row = np.array([np.cos(turn), np.sin(turn), 0])
    column = np.array([-np.sin(turn) * np.cos(tilt), np.cos(turn) * np.cos(tilt), np.sin(tilt)])
    header = Dataset()
    header.ImageOrientationPatient = [round(float(v), 12) for v in (*row, *column)]
    header.ImagePositionPatient, header.PixelSpacing = (
        [-120.5, 33.25, 800],
        [round(down, 6), round(across, 6)],
    )
    header.SpacingBetweenSlices = 2.5
    geometry = placed(header)
    voxels = np.array([[0, 0, 0], [511, 0, 0], [17.5, 300.25, 9], [511, 511, 40]])

    back = geometry.to_voxel(geometry.to_patient(voxels))

    assert np.abs(back - voxels).max() * max(down, across, 2.5) < 0.01


def test_the_first_pixel_lies_at_the_image_position_and_the_next_one_along_the_row():
    points = placed(HEADER).to_patient(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))

    np.testing.assert_allclose(points[0], [-60.5, -70.25, 30])
    np.testing.assert_allclose(points[1:] - points[0], np.diag([0.9, 0.9, 5.0]))


def test_a_frame_has_its_own_place():
    header, frames, shared = Dataset(), [], Dataset()
    for z in (10, 20):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    header.PerFrameFunctionalGroupsSequence, header.SharedFunctionalGroupsSequence = frames, [shared]

    assert [placed(header, i).matrix[2, 3] for i in (0, 1)] == [10, 20]


@pytest.mark.parametrize(
    "spoil",
    [
        {"ImagePositionPatient": None},
        {"PixelSpacing": [0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    ],
)
def test_nothing_is_said_in_millimetres_where_the_header_does_not(spoil):
    header = pydicom.dcmread(BytesIO(ct(head(1))))
    for keyword, value in spoil.items():
        setattr(header, keyword, value)

    assert patient_geometry(header) is None


def test_a_projection_has_a_detector_only():
    header = Dataset()
    header.ImagerPixelSpacing = [0.14, 0.14]

    assert detector_spacing(header) == (0.14, 0.14)
    assert detector_spacing(Dataset()) is None


@given(st.integers(130, 3000), st.integers(130, 3000))
def test_the_matrix_is_the_way_back_that_boxes_take(rows, columns):
    scale = 256 / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    geometry = Geometry(rows, columns, 256, scale, (256 - width) // 2, (256 - height) // 2)
    corners = np.array([[geometry.left, geometry.top, 1], [geometry.left + width, geometry.top + height, 1]])

    np.testing.assert_allclose(corners @ geometry.matrix().T, [[0, 0, 1], [columns, rows, 1]], atol=1e-6)
