"""Moments and durations as texts."""

from datetime import UTC, datetime


def iso_time(moment: float, timespec: str = "milliseconds") -> str:
    """Return a moment, in seconds since the epoch, as an ISO 8601 text of UTC."""
    return datetime.fromtimestamp(moment, tz=UTC).isoformat(timespec=timespec)


def of_iso_time(text: str) -> float:
    """Return the seconds since the epoch of an ISO 8601 text; raises ValueError when it is none."""
    return datetime.fromisoformat(text).timestamp()


def clock(seconds: float | None) -> str:
    """Return a duration for tables: 0:07, 12:34, 5:00:00; nothing for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def duration(seconds: float | None) -> str:
    """Return a duration with its units: 7.0 s, 12 min 34 s, 5 h 00 min; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
