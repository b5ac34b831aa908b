"""Optuna storages by what a person writes: a database's URL, or a journal file.

A URL may hold a password. It stays in memory: whatever is written, logged or printed is `public`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy import URL

FORMS = "sqlite:///study.db, postgresql://user@host/database or a journal file as study.log"
PATIENCE = 5  # seconds that a server may take to answer, or another writer to unlock a file
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
LIMITS = {"sqlite": "timeout", "postgresql": "connect_timeout"}  # what a driver calls PATIENCE


def public(text: str) -> str:
    """The text with the passwords of its URLs left out."""
    text = re.sub(r"(://[^\s:/@]*):\S*@", r"\1@", text)
    return re.sub(r"(?i)(?<=[?&])(ssl)?password=[^&\s]*&?", "", text)


def resolve(storage: str) -> str:
    """The same storage whatever the working folder; raises InputError where it can be none."""
    if "://" not in storage:
        return _journal_path(storage)
    url = _parse(storage)
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InputError(f"--storage {storage!r}: expected a file, as sqlite:///study.db")
        _check_folder(storage, Path(url.database))
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string(hide_password=False)


def open_storage(storage: str) -> BaseStorage:
    """Connect to a storage that `resolve` returned; raises InputError with the reason."""
    try:
        return _database(storage) if "://" in storage else _journal(storage)
    except Exception as error:  # drivers raise what they like
        raise InputError(f"--storage {public(storage)}: {reason(error, storage)}") from None


def close_storage(storage: BaseStorage) -> None:
    """Close its connections, those of this thread and idle ones."""
    from optuna.storages import RDBStorage

    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def reason(error: BaseException, storage: str) -> str:
    """An error of a storage in one line, without its password."""
    if isinstance(error, ImportError):
        name = getattr(error.__cause__ or error, "name", None) or "its driver"
        extra = "pip install 'nas-explorer[postgres]'" if name == "psycopg" else "install it"
        return f"the package {name} is missing; {extra}"
    while (cause := getattr(error, "orig", None) or error.__cause__) is not None:
        error = cause  # Optuna's and SQLAlchemy's errors are about the driver's
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    password = _parse(storage).password if "://" in storage else None
    return public(line.replace(str(password), "…") if password else line)


def _parse(storage: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(storage)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect()
    except (ArgumentError, ValueError):  # a form, a kind of database or a port that is none
        raise InputError(f"--storage {public(storage)!r}: expected {FORMS}") from None
    except ImportError as error:
        raise InputError(f"--storage {public(storage)}: {reason(error, '')}") from None
    return url


def _journal_path(storage: str) -> str:
    path = Path(storage).absolute()
    if path.suffix != ".log" or path.is_dir():
        raise InputError(f"--storage {storage!r}: expected {FORMS}")
    _check_folder(storage, path)
    return str(path)


def _check_folder(storage: str, path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise InputError(f"--storage {storage!r}: there is no folder {path.absolute().parent}")


def _database(storage: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    limit = LIMITS.get(_parse(storage).get_backend_name())
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server that was restarted
    if limit:
        options["connect_args"] = {limit: PATIENCE}
    return RDBStorage(storage, engine_kwargs=options)


def _journal(storage: str) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(storage, grace_period=PATIENCE)  # of a writer that was killed
    try:
        return JournalStorage(JournalFileBackend(storage, lock))
    except (ValueError, KeyError, TypeError):
        raise ValueError("expected an Optuna journal, or no file yet") from None
