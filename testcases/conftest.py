"""Results go to `results/allure` unless told otherwise; the bench file is checked before anything runs."""

import pytest

from fixtures.options import bench_of, results_of


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin("allure_pytest") and not config.option.allure_report_dir:
        config.option.allure_report_dir = str(results_of(config) / "allure")
        config.option.clean_alluredir = True  # one run a folder: rows of older runs would mix in


def pytest_sessionstart(session: pytest.Session) -> None:
    bench_of(session.config)
