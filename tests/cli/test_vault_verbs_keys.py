"""Where the key comes from: each source end to end, two at once, and none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from house import END, INTERRUPT, LONGEST, Home, home_env, new_vault

from mcpvault import Secret, Vault
from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import NewSlot

OPEN = ("get", "demo", "url")
SAYS = "https://mcp.example.com/mcp\n"
PASSPHRASE = "a passphrase of the key tests"
OTHER = "mvk1-mfxg65dimvzca23fpeqg6zraorugkidumvzxi4zofyxc4lroeeq3jxbr4i"  # a good key, of no vault


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault whose key lies where nobody looks for it: in the file ``my.key``."""
    made = new_vault(home)
    made.key.rename(home / "my.key")
    return made


def key(home: Home) -> str:
    """Return the key's text."""
    return (home.home / "my.key").read_text().strip()


def credentials(home: Home, text: str) -> str:
    """Make a folder as systemd does and return its path."""
    folder = home.home / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "mcpvault.key").touch(0o400)
    (folder / "mcpvault.key").write_text(text)
    return str(folder)


def test_a_key_file_is_named(home: Home) -> None:
    """``MCPVAULT_KEY_FILE`` may be a link; only what it leads to must be private."""
    (home.home / "link").symlink_to("my.key")

    assert SAYS == home.run(*OPEN, MCPVAULT_KEY_FILE="my.key").stdout
    assert SAYS == home.run(*OPEN, MCPVAULT_KEY_FILE=str(home.home / "link")).stdout


def test_a_key_comes_in_a_variable(home: Home) -> None:
    """``MCPVAULT_KEY`` holds the text itself; spaces around it do no harm."""
    assert SAYS == home.run(*OPEN, MCPVAULT_KEY=f" {key(home)}\n").stdout


def test_a_key_comes_through_a_descriptor(home: Home) -> None:
    """``MCPVAULT_KEY_FD`` is an inherited descriptor; a pipe will do."""
    command, env = home.command(OPEN, {})
    reading, writing = os.pipe()
    os.write(writing, f"{key(home)}\n".encode())
    os.close(writing)

    done = subprocess.run(
        command, env=env | {"MCPVAULT_KEY_FD": str(reading)}, pass_fds=[reading], capture_output=True, encoding="utf-8",
        timeout=LONGEST, check=False,
    )  # fmt: skip
    os.close(reading)

    assert (0, SAYS, "") == (done.returncode, done.stdout, done.stderr)


def test_a_shell_can_pass_a_descriptor(home: Home) -> None:
    """``3<my.key`` in a shell is enough; no child of ours gets it."""
    command, env = home.command(("edit",), {"MCPVAULT_KEY_FD": "3", "EDITOR": "sh -c 'ls /dev/fd >seen' --"})

    subprocess.run(
        ["sh", "-c", 'exec "$@" 3<my.key', "sh", *command], env=env, cwd=home.home, check=True, timeout=LONGEST,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    # 3 is the folder that ls itself reads; had it inherited the key's descriptor, that would be 4.
    assert ["0", "1", "2", "3"] == (home.home / "seen").read_text().split()


def test_systemd_gives_a_credential(home: Home) -> None:
    """``mcpvault.key`` below ``$CREDENTIALS_DIRECTORY`` opens the vault; another credential there does not matter."""
    folder = credentials(home, key(home))
    (Path(folder) / "other").write_text("x")

    assert SAYS == home.run(*OPEN, CREDENTIALS_DIRECTORY=folder).stdout


def test_the_default_key_file_is_found(home: Home) -> None:
    """``<vault-id>.key`` in the data folder needs no variable; ``XDG_DATA_HOME`` moves it."""
    name = home.state.name
    (home.home / "data" / "mcpvault").mkdir(parents=True)
    (home.home / "my.key").rename(home.home / "data" / "mcpvault" / f"{name}.key")

    assert SAYS == home.run(*OPEN, XDG_DATA_HOME=str(home.home / "data")).stdout


def test_a_named_key_wins_over_the_default_one(home: Home) -> None:
    """A named source is used even if it does not fit: nobody shall wonder which key was used."""
    (home.home / ".local" / "share" / "mcpvault" / f"{home.state.name}.key").symlink_to(home.home / "my.key")
    said = home.refused(*OPEN, code=6, MCPVAULT_KEY=OTHER)

    assert "the key from MCPVAULT_KEY opens none of the vault's slots (me)" in said


def test_no_key_names_every_place(home: Home) -> None:
    """Exit 6 names all the places where a key is looked for."""
    said = home.refused(*OPEN, code=6)
    places = [
        "MCPVAULT_KEY_FILE",
        "MCPVAULT_KEY_FD",
        "MCPVAULT_KEY",
        "mcpvault.key",
        f"{home.state.name}.key",
        "terminal",
    ]

    assert [] == [place for place in places if place not in said]


SOURCES = ["MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY", "CREDENTIALS_DIRECTORY"]


@pytest.mark.parametrize(
    "pair", [(a, b) for index, a in enumerate(SOURCES) for b in SOURCES[index + 1 :]], ids="+".join
)
def test_two_sources_are_refused(home: Home, pair: tuple[str, str]) -> None:
    """Exit 8 names both, whatever they hold and even if they are equal."""
    values: Mapping[str, str] = {
        "MCPVAULT_KEY_FILE": "my.key",
        "MCPVAULT_KEY_FD": "3",
        "MCPVAULT_KEY": key(home),
        "CREDENTIALS_DIRECTORY": credentials(home, key(home)),
    }
    said = home.refused(*OPEN, code=8, **{name: values[name] for name in pair})

    assert [True, True] == [name in said for name in pair]


WRONG = [
    (8, "MCPVAULT_KEY_FILE", "/nonexistent", "cannot be read"),
    (8, "MCPVAULT_KEY_FILE", "/", "expected a regular file"),
    (8, "MCPVAULT_KEY_FILE", "empty", "is blank"),
    (8, "MCPVAULT_KEY_FILE", "open-to-all", "chmod 600"),
    (8, "MCPVAULT_KEY_FD", "three", "expected a number"),
    (8, "MCPVAULT_KEY_FD", "-1", "expected a number"),
    (8, "MCPVAULT_KEY_FD", "77", "descriptor 77 cannot be read"),
    (8, "MCPVAULT_KEY", "   ", "is blank"),
    (8, "MCPVAULT_KEY", "mvk1-cut-short", "not mcpvault key text"),
    (6, "MCPVAULT_KEY", OTHER, "opens none of the vault's slots"),
]


@pytest.mark.parametrize(("code", "variable", "value", "says"), WRONG, ids=lambda value: str(value)[:24])
def test_a_source_that_holds_no_key(home: Home, code: int, variable: str, value: str, says: str) -> None:
    """One clear line each; the value of the key is never quoted."""
    for name, mode in (("empty", 0o600), ("open-to-all", 0o644)):
        (home.home / name).touch(mode)
        (home.home / name).chmod(mode)
    said = home.refused(*OPEN, code=code, **{variable: value})

    assert says in said
    assert "mvk1-" not in said.replace("expected one line mvk1-… or", "")


@pytest.fixture
def kept_in_mind(home: Home, cheap_kdf: Mapping[str, int]) -> Home:
    """The vault with a passphrase slot beside its raw one."""
    with Vault.open(env=home_env(home.home), key=Key("text", Secret(key(home)), "test")).change() as change:
        change.add_slot(NewSlot.passphrase("ada", Secret(PASSPHRASE), kdf=cheap_kdf))
    return home


def test_a_passphrase_is_asked_for_on_a_terminal(kept_in_mind: Home) -> None:
    """It is not echoed, and the prompt names the vault."""
    prompt = f"Passphrase for {kept_in_mind.vault}: "
    shown = kept_in_mind.talk(*OPEN, answers=[(prompt, f"{PASSPHRASE}\n")])

    assert f"{prompt}\r\n{SAYS.strip()}\r\n" == shown


@pytest.mark.parametrize(("typed", "code"), [("wrong\n", 6), ("\n", 6), (INTERRUPT, 130), (END, 130)])
def test_a_wrong_passphrase_opens_nothing(kept_in_mind: Home, typed: str, code: int) -> None:
    """It is asked for once; ctrl-C and ctrl-D end the run with 130 and no traceback."""
    before = kept_in_mind.files()
    shown = kept_in_mind.talk(*OPEN, answers=[("Passphrase for", typed)], code=code)

    assert ("opens none" in shown, "interrupted" in shown) == (code == 6, code == 130)
    assert before == kept_in_mind.files()


def test_without_a_terminal_nobody_is_asked(kept_in_mind: Home) -> None:
    """A passphrase on stdin is not read; neither does a closed stdin block, or a lost session."""
    assert "no key at hand" in kept_in_mind.refused(*OPEN, code=6, stdin=f"{PASSPHRASE}\n")

    command, env = kept_in_mind.command(OPEN, {})
    done = subprocess.run(
        ["sh", "-c", 'exec setsid "$@" <&-', "sh", *command], env=env, capture_output=True, timeout=LONGEST, check=False
    )
    assert (6, b"") == (done.returncode, done.stdout)


def test_a_key_file_is_tried_before_a_prompt(kept_in_mind: Home) -> None:
    """Who has a key at hand is not asked, terminal or not."""
    assert SAYS.strip() == kept_in_mind.talk(*OPEN, MCPVAULT_KEY_FILE="my.key").strip()
