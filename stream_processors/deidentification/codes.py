"""Lists of codes that the standard defines: what is on one cannot be a name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pydicom.charset import python_encoding

MODALITIES: Final = frozenset(
    {
        "AR", "AU", "BI", "BMD", "CD", "CR", "CT", "DG", "DX", "EC", "ECG", "EEG", "EMG", "EOG", "EPS",
        "ES", "FA", "FS", "GM", "HD", "IO", "IVOCT", "IVUS", "KO", "LS", "MG", "MR", "NM", "OAM", "OCT",
        "OP", "OPM", "OPT", "OPV", "OT", "PR", "PT", "PX", "RF", "RG", "RTDOSE", "RTIMAGE", "RTPLAN",
        "RTRECORD", "RTSTRUCT", "SC", "SEG", "SM", "SMR", "SR", "SRF", "TG", "US", "VA", "XA", "XC", "ANN", "ASMT",
        "BDUS", "CFM", "CTPROTOCOL", "DMS", "DOC", "FID", "HC", "KER", "LEN", "M3D", "OPTBSV",
        "OPTENF", "OSS", "PLAN", "POS", "REG", "RESP", "RTINTENT", "RTSEGANN", "RTRAD", "RWV", "STAIN",
        "TEXTUREMAP", "XAPROTOCOL",
    }
)  # fmt: skip
"""PS3.3 §C.7.3.1.1.1."""

BODY_PARTS: Final = frozenset(
    {
        "ABDOMEN", "ABDOMENPELVIS", "ANKLE", "AORTA", "ARM", "BLADDER", "BRAIN", "BREAST", "CALCANEUS",
        "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CLAVICLE", "COCCYX", "CSPINE", "CTSPINE", "ELBOW",
        "EXTREMITY", "EYE", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEADNECK",
        "HEART", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER", "LSPINE", "LSSPINE", "LUNG",
        "MANDIBLE", "NECK", "NECKCHEST", "ORBIT", "PANCREAS", "PELVIS", "PROSTATE", "RIB", "SACRUM",
        "SCAPULA", "SHOULDER", "SINUS", "SKULL", "SPINE", "SPLEEN", "STERNUM", "THIGH", "THORAX", "THUMB",
        "TIBIA", "TLSPINE", "TOE", "TSPINE", "UTERUS", "WHOLEBODY", "WRIST", "ZYGOMA",
    }
)  # fmt: skip
"""From PS3.16 Annex L, the defined terms of Body Part Examined in common use."""

VIEWS: Final = frozenset(
    {
        "AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "LAT", "LAO", "RAO", "LPO", "RPO",
        "CC", "MLO", "ML", "LM", "XCCL",
    }
)  # fmt: skip
"""Defined terms of View Position (PS3.3 §C.8.7.1, §C.8.11.5)."""

PHOTOMETRIC: Final = frozenset(
    {
        "MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT",
        "YBR_RCT", "PALETTE COLOR", "XYB", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK",
    }
)  # fmt: skip
"""PS3.3 §C.7.6.3.1.2."""

MISSPELT_CHARACTER_SETS: Final = frozenset(
    each.replace("ISO_IR", "ISO-IR") for each in python_encoding if each.startswith("ISO_IR")
)
"""What some devices write; readers know it."""

ALLOWED: Final = MappingProxyType(
    {
        0x00080005: frozenset(python_encoding) | MISSPELT_CHARACTER_SETS,
        0x00080060: MODALITIES,
        0x00100040: frozenset({"M", "F", "O"}),
        0x00102203: frozenset({"ALTERED", "UNALTERED"}),
        0x001021A0: frozenset({"YES", "NO", "UNKNOWN"}),
        0x00280004: PHOTOMETRIC,
    }
)
"""What stays of Specific Character Set, Modality, Patient's Sex, Sex Neutered, Smoking Status and Photometric
Interpretation is one of the standard's codes (PS3.3 §C.2, §C.7). They are not searched for names, so that a
patient named MR changes nothing."""

CODE_WORDS: Final = frozenset(
    word for codes in ALLOWED.values() for code in codes for word in (code.lower(), *code.lower().split())
)
"""No evidence of a person either; in lower case."""
