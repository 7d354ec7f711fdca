"""The evidence picture of a result: the frames that the result rests on, and below them the question and the answer."""

from __future__ import annotations

import cv2

from ..frames import Line, contact_sheet
from .query import Result, Status

QUALITY = 85
"""Of the JPEG."""
GREEN, RED = (120, 220, 140), (250, 130, 110)


def evidence_jpeg(result: Result) -> bytes:
    """Draw the evidence picture of a result that has frames, as a JPEG."""
    sheet = contact_sheet(result.seen, evidence_lines(result))
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return jpeg.tobytes()


def evidence_lines(result: Result) -> list[Line]:
    """Return the lines of text under the frames: the question, and the answer or the reason for the refusal."""
    if result.status is Status.OK:
        answers = [Line(f"{result.text}   ({result.confidence:.0%})", GREEN, 20)]
        if result.message:
            answers.append(Line(result.message, RED))
    else:
        answers = [Line(f"{result.status.name}: {result.message}", RED)]
    return [Line(result.query.question), *answers]
