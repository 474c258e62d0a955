"""Postgres and Valkey from the launchers that `threadwork up` uses: who owns them, what survives, what is left."""

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from core.errors import Misconfigured, Unavailable
from tests.processes import alive, descendants, until
from threadwork.embedded.child import assumed_id
from threadwork.embedded.folder import socket_folder
from threadwork.embedded.postgres import binaries, embedded_postgres
from threadwork.embedded.reach import open_ways
from threadwork.embedded.valkey import binary, embedded_valkey

ROOT = Path(__file__).parents[2]
# `nobody`, and somebody for whom the system has no name.
SOMEBODY = 65534
NAMELESS = 54321
Launcher = Callable[[Path], AbstractAsyncContextManager[str]]
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    """A folder in which nothing was ever started."""
    made = Path(tempfile.mkdtemp(prefix="tw"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A Postgres cluster that was started and stopped once, to be copied: making one takes a second of processor."""
    made = Path(tempfile.mkdtemp(prefix="tw"))

    async def make() -> None:
        async with embedded_postgres(made):
            pass

    asyncio.run(make())
    yield made / "postgres"
    shutil.rmtree(made)


@pytest.fixture
def folder(empty_folder: Path, cluster: Path) -> Path:
    """A folder that was used before."""
    shutil.copytree(cluster, empty_folder / "postgres")
    return empty_folder


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def redis_at(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


class Owner:
    """A process that owns both servers."""

    def __init__(self, folder: Path, *, uid: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.embedded_owner", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=None if uid is None else lambda: _become(uid),  # noqa: PLW1509 - one thread
        )
        assert self.process.stdout is not None
        self.database = self.process.stdout.readline().strip()
        self.redis = self.process.stdout.readline().strip()
        assert self.redis, "the servers did not start"
        self.servers = descendants(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0


def _become(uid: int) -> None:
    """Be somebody who is not root and has no folder anywhere, but can reach Python and the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    open_ways([ROOT, Path(sys.prefix), Path(sys.base_prefix)], libc, uid, uid)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


@pytest.fixture
async def owns(empty_folder: Path) -> AsyncIterator[Callable[..., Owner]]:
    made: list[Owner] = []

    def make(place: Path, *, uid: int | None = None) -> Owner:
        made.append(Owner(place, uid=uid))
        return made[-1]

    yield make
    for owner in made:
        owner.kill()
    await until(lambda: not any(alive(pid) for owner in made for pid in owner.servers))


async def test_what_was_written_is_there_at_the_next_start(empty_folder: Path) -> None:
    async with embedded_postgres(empty_folder) as url, connected(url) as connection:
        await connection.execute("CREATE TABLE kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ('grüße')")
    async with embedded_valkey(empty_folder) as url, redis_at(url) as redis:
        await redis.xadd("kept", {"word": "hello"})

    async with embedded_postgres(empty_folder) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT word FROM kept") == "grüße"
    async with embedded_valkey(empty_folder) as url, redis_at(url) as redis:
        assert [fields for _, fields in await redis.xrange("kept")] == [{b"word": b"hello"}]


async def test_what_was_committed_survives_a_kill_of_everything(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    async with connected(owner.database) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    for pid in [*owner.servers, owner.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async with embedded_postgres(folder) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT number FROM kept") == 7


async def test_the_servers_die_with_their_owner_even_on_kill_9(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in owner.servers}
    assert {"postgres", "valkey-server"} <= names

    owner.kill()

    await until(lambda: not any(alive(pid) for pid in owner.servers))


async def test_a_new_owner_can_follow_a_killed_one_at_once(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    async with redis_at(owner.redis) as redis:
        await redis.set("kept", "yes")
    owner.kill()

    async with embedded_postgres(folder) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    async with embedded_valkey(folder) as url, redis_at(url) as redis:
        assert await redis.get("kept") == b"yes"


async def test_a_server_that_outlived_its_owner_is_waited_for(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    (old,) = [pid for pid in descendants(owner.pid) if Path(f"/proc/{pid}/comm").read_text() == "valkey-server\n"]
    os.kill(old, signal.SIGSTOP)
    owner.kill()

    opened: asyncio.Event = asyncio.Event()

    async def follow() -> bool:
        async with embedded_valkey(folder):
            opened.set()
            return alive(old)

    following = asyncio.create_task(follow())
    try:
        await until(lambda: (folder / "valkey.lock").read_text() == str(os.getpid()))
        # Never done while the old one holds its lock, so a slow machine cannot make this fail.
        await asyncio.wait((following,), timeout=0.5)
        assert not opened.is_set()
    finally:
        os.kill(old, signal.SIGCONT)
    assert await following is False


@pytest.mark.parametrize("launch", [embedded_postgres, embedded_valkey])
async def test_a_second_owner_is_refused_and_told_whose_it_is(launch: Launcher, folder: Path) -> None:
    async with launch(folder) as url:
        with pytest.raises(Misconfigured, match=f"belongs to process {os.getpid()}"):
            async with launch(folder):
                pass
        assert url, "the first goes on"


async def test_an_owner_in_another_process_is_named(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    with pytest.raises(Misconfigured, match=f"belongs to process {owner.pid}"):
        async with embedded_postgres(folder):
            pass
    owner.leave()
    async with embedded_postgres(folder):
        pass


async def test_leaving_stops_every_process(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    owner.leave()
    await until(lambda: not any(alive(pid) for pid in owner.servers))
    assert "shut down" in control_data(folder)


def control_data(folder: Path) -> str:
    argv = [str(binaries() / "pg_controldata"), "-D", str(folder / "postgres")]
    out: str = subprocess.run(argv, capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    return next(line for line in out.splitlines() if line.startswith("Database cluster state"))


async def test_a_stop_that_is_cancelled_twice_still_ends_the_server(folder: Path) -> None:
    opened = asyncio.Event()

    async def hold() -> None:
        async with embedded_postgres(folder):
            opened.set()
            await asyncio.Event().wait()

    others = set(descendants(os.getpid()))
    task = asyncio.create_task(hold())
    await until(opened.is_set)
    servers = set(descendants(os.getpid())) - others
    assert servers
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await until(lambda: not any(alive(pid) for pid in servers))


@pytest.mark.parametrize(
    "name",
    ["n" * 150, "with space, comma", "50%41+a&b=c?d#e", "Übung"],
    ids=["long", "comma", "address", "umlaut"],
)
async def test_any_folder_will_do(name: str, empty_folder: Path, cluster: Path) -> None:
    place = empty_folder / name
    shutil.copytree(cluster, place / "postgres")
    try:
        async with embedded_postgres(place) as url, connected(url) as connection:
            assert await connection.fetchval("SHOW data_directory") == str(place / "postgres")
        async with embedded_valkey(place) as url, redis_at(url) as redis:
            assert await redis.config_get("dir") == {"dir": str(place / "valkey")}
            assert len(urlsplit(url).path) < 108
    finally:
        shutil.rmtree(socket_folder(place))


async def test_two_folders_with_the_same_long_beginning_have_sockets_of_their_own(empty_folder: Path) -> None:
    one, two = empty_folder / ("n" * 150), empty_folder / ("n" * 151)
    try:
        async with embedded_valkey(one) as first, embedded_valkey(two) as second, redis_at(first) as redis:
            assert first != second
            await redis.set("mine", "1")
            async with redis_at(second) as other:
                assert await other.get("mine") is None
    finally:
        shutil.rmtree(socket_folder(one))
        shutil.rmtree(socket_folder(two))


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {each: (each.stat().st_mode, each.stat().st_uid, each.stat().st_gid) for each in [path, *path.parents]}


async def test_a_closed_folder_above_stays_closed(folder: Path) -> None:
    place = folder / "closed" / "data"
    place.mkdir(parents=True)
    place.parent.chmod(0o700)
    before = modes(place) | modes(binaries()) | modes(binary())

    async with embedded_postgres(place) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    async with embedded_valkey(place) as url, redis_at(url) as redis:
        assert await redis.ping()

    assert modes(place) | modes(binaries()) | modes(binary()) == before


async def test_the_folder_of_another_user_does_too_for_root(folder: Path) -> None:
    """For a plain user there is no such case: what is closed to them is closed to their servers."""
    place = folder / "ann" / "data"
    place.mkdir(parents=True)
    if IS_ROOT:
        os.chown(place.parent, SOMEBODY, SOMEBODY)
        place.parent.chmod(0o700)
    before = modes(place)

    async with embedded_postgres(place) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1

    assert modes(place) == before
    assert [each.name for each in place.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("uid", [SOMEBODY, NAMELESS])
async def test_a_plain_user_can_own_servers(uid: int, empty_folder: Path, owns: Callable[..., Owner]) -> None:
    """Run by root, the owner is a uid that owns nothing else; run by a plain user, it is that user."""
    place = empty_folder / "data"
    place.mkdir()
    if IS_ROOT:
        os.chown(place, uid, uid)
        empty_folder.chmod(0o755)
    owner = owns(place, uid=uid if IS_ROOT else None)

    async with connected(owner.database) as connection, redis_at(owner.redis) as redis:
        assert await connection.fetchval("SELECT 1") == 1
        assert await redis.ping()
    uids = {Path(f"/proc/{pid}").stat().st_uid for pid in descendants(owner.pid)}
    assert uids == {uid if IS_ROOT else os.geteuid()}
    owner.leave()


def test_a_server_is_never_root_and_always_has_a_name() -> None:
    for uid in (0, NAMELESS):
        assumed = assumed_id(uid)
        assert assumed
        assert pwd.getpwuid(assumed).pw_name != "root"
    assert assumed_id(SOMEBODY) is None


async def test_the_servers_have_no_powers_and_no_port(folder: Path, owns: Callable[..., Owner]) -> None:
    owner = owns(folder)
    for pid in descendants(owner.pid):
        comm, status = (Path(f"/proc/{pid}/{name}").read_text() for name in ("comm", "status"))
        powers = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
        assert comm != "postgres\n" or int(powers, 16) == 0
    async with connected(owner.database) as connection:
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in ("listen_addresses", "fsync", "jit")}
    assert shown == {"listen_addresses": "", "fsync": "on", "jit": "off"}
    async with redis_at(owner.redis) as redis:
        found = await redis.config_get("*")
    expected = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert {name: found[name] for name in expected} == expected


async def test_a_half_made_cluster_is_made_anew(empty_folder: Path) -> None:
    (empty_folder / "postgres.part" / "base").mkdir(parents=True)
    (empty_folder / "postgres.part" / "PG_VERSION").write_text("18\n")
    async with embedded_postgres(empty_folder) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert not (empty_folder / "postgres.part").exists()


async def test_a_folder_with_other_files_is_not_touched(empty_folder: Path) -> None:
    (empty_folder / "postgres").mkdir()
    (empty_folder / "postgres" / "letter.txt").write_text("dear ann")
    with pytest.raises(Misconfigured, match="not a Postgres cluster"):
        async with embedded_postgres(empty_folder):
            pass
    assert (empty_folder / "postgres" / "letter.txt").read_text() == "dear ann"


async def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    async with embedded_postgres(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(Unavailable, match="initialized by PostgreSQL version 12"):
        async with embedded_postgres(folder):
            pass
