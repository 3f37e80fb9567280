from __future__ import annotations

import asyncio
import shutil

import httpx
import pytest

from portal_api.app import bare_app, portal
from tests.support.portal import System, seed


class Browser:
    """Requests to the application without a server; keeps cookies."""

    def __init__(self, app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://portal.test")
        self._runner = asyncio.Runner()
        self.headers, self.cookies = self._client.headers, self._client.cookies

    def get(self, path, **more):
        return self._runner.run(self._client.get(path, **more))

    def post(self, path, **more):
        return self._runner.run(self._client.post(path, **more))

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory):
    """Prepared once; every test works on a copy."""
    folder = tmp_path_factory.mktemp("empty") / "system"
    System.fresh(folder).connections.close()
    return folder


@pytest.fixture(scope="session")
def seeded_folder(empty_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeded") / "system"
    shutil.copytree(empty_folder, folder)
    made = System.opened(folder)
    seed(made)
    made.connections.close()
    return folder


@pytest.fixture
def system(request, tmp_path):
    """An embedded system; with studies in it where the test asks for `seeded`."""
    template = "seeded_folder" if "seeded" in request.fixturenames else "empty_folder"
    shutil.copytree(request.getfixturevalue(template), tmp_path / "system")
    made = System.opened(tmp_path / "system")
    yield made
    made.connections.close()


@pytest.fixture
def seeded(system):
    return system


@pytest.fixture(scope="session")
def routes():
    """Built once: FastAPI takes longer over it than most tests over the rest."""
    return bare_app()


@pytest.fixture
def app(routes, system):
    routes.state.portal = portal(system.connections, system.credentials())
    return routes


@pytest.fixture
def browser(app):
    """Open browsers that are closed with the test."""
    opened = []

    def opening():
        opened.append(Browser(app))
        return opened[-1]

    yield opening
    for each in opened:
        each.close()


@pytest.fixture
def anonymous(browser):
    return browser()


@pytest.fixture
def sign_in(app, browser, system):
    """Sign in as somebody and get a client whose requests come from the portal's own pages."""

    def signed_in(role="radiologist", user="dr.reader", site="north"):
        client = browser()
        token = system.token(role, user, site)
        answer = client.post("/login", data={"token": token}, headers={"Origin": "http://portal.test"})
        assert answer.status_code == 303
        sessions = app.state.portal.sessions
        person = sessions.read(client.cookies[sessions.cookie])
        client.headers.update({"Origin": "http://portal.test", "X-CSRF-Token": person.csrf})
        return client

    return signed_in


@pytest.fixture
def reader(seeded, sign_in):
    return sign_in()
