"""The small twin of bench/backup: a backup under load, the machine gone, all of it again on an empty one."""

from pathlib import Path

from bench.backup import play


def test_a_backup_under_load_loses_no_accepted_mail_and_counts_no_report_twice(tmp_path: Path) -> None:
    report = play(tmp_path, seconds=1.0, with_journals=True)

    assert report.ok, report
    assert report.accepted_before > 50, report
    assert report.reports > 0, report
    assert report.queued_in_backup > 0, report
