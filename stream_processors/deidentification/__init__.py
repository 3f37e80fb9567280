"""De-identification of DICOM files after PS3.15 Annex E: a pure library, usable without any stream."""

from stream_processors.deidentification.context import SYNTHETIC_MANUFACTURER as SYNTHETIC_MANUFACTURER
from stream_processors.deidentification.context import Context as Context
from stream_processors.deidentification.engine import deidentify as deidentify
from stream_processors.deidentification.engine import plan as plan
from stream_processors.deidentification.output import Deidentified as Deidentified
from stream_processors.deidentification.output import Plan as Plan
from stream_processors.deidentification.pixels_at_risk import PixelPolicy as PixelPolicy
from stream_processors.deidentification.pixels_at_risk import Pixels as Pixels
from stream_processors.deidentification.pixels_at_risk import Verdict as Verdict
from stream_processors.deidentification.profile import DEFAULT as DEFAULT
from stream_processors.deidentification.profile import Profile as Profile
from stream_processors.deidentification.refusal import REASONS as REASONS
from stream_processors.deidentification.refusal import MoreNeededError as MoreNeededError
from stream_processors.deidentification.refusal import RefusedError as RefusedError
from stream_processors.deidentification.report import Report as Report
from stream_processors.deidentification.streaming import HEAD_BYTES as HEAD_BYTES
from stream_processors.deidentification.streaming import followed as followed
from stream_processors.deidentification.streaming import verify_header as verify_header
