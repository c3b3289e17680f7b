"""``edit``: the vault in a scripted editor, on a terminal and without one."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import INTERRUPT, LONGEST, TOKEN, Home, home_env, new_vault

from mcpvault import Secret

KEY = "key-of-the-other-server-8Vn2"
TYPED = "typed-into-an-editor-3Kd7"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault of two sealed values, and a folder for the editor's files."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("other", {"url": "https://other.example.com/mcp", "note": "old words"})
        change.set_secret("other", "headers.X-API-Key", Secret(KEY))
    (home / "run").mkdir(mode=0o700)
    return made


def edit(home: Home, script: str, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``edit`` with a shell script as the editor, which gets the file's name as ``$1``; nothing may stay behind."""
    done = home.run(
        "edit", *words, code=code, EDITOR=editor(home, script), XDG_RUNTIME_DIR=str(home.home / "run"), **env
    )
    assert [] == [*(home.home / "run").iterdir()]
    return done


def editor(home: Home, script: str) -> str:
    """Write the editor and return the command that starts it."""
    (home.home / "editor.sh").write_text(script)
    return "sh editor.sh"


def tree(home: Home) -> dict[str, Any]:
    """Return what the file says."""
    return tomllib.loads(home.vault.read_text())


def test_no_change_writes_nothing(home: Home) -> None:
    """An editor that changes nothing leaves every byte alone."""
    (home.home / "editor.sh").touch()
    before = home.files()

    assert "nothing changed\n" == edit(home, "").stdout
    assert before == home.files()


def test_the_editor_sees_placeholders(home: Home) -> None:
    """No secret and no ciphertext is in the text; the file is private and lies in a private folder."""
    edit(home, 'cp "$1" seen; ls -ld "$1" "$(dirname "$1")" >modes')
    seen = (home.home / "seen").read_text()

    placeholders = re.findall(r"<sealed [0-9a-f]{8}>", seen)
    assert 2 == len(placeholders)
    assert [] == [word for word in (TOKEN, KEY, "mv1.") if word in seen]
    assert ["drwx------", "-rw-------"] == [line[:10] for line in (home.home / "modes").read_text().splitlines()]


def test_what_is_left_alone_keeps_its_bytes(home: Home) -> None:
    """A changed note changes that line and the signature; ciphertexts, comments and order stay."""
    text = home.vault.read_text().replace("[servers.other]\n", "# who: ops\n[servers.other] # here\n")
    home.vault.write_text(text)
    home.run("sign", "--yes")
    before = home.vault.read_text().splitlines()

    assert "changed\n" == edit(home, """sed -i 's/old words/new words/' "$1" """).stdout

    changed = [line for line in home.vault.read_text().splitlines() if line not in before]
    assert {"note", "serial", "mac", "sig"} == {line.partition(" ")[0] for line in changed}
    assert "new words" == tree(home)["servers"]["other"]["note"]
    assert 4 == len(changed)
    assert KEY == home.open().file.secret("other", "headers.X-API-Key").reveal()


def test_new_text_in_a_secret_field_is_sealed(home: Home) -> None:
    """What was typed is the new current version, and stands nowhere in clear."""
    edit(home, f"""sed -i 's/^token = .*/token = "{TYPED}"/' "$1" """)

    vault = home.open()
    assert (TYPED, TOKEN) == (
        vault.file.secret("demo", "auth.token").reveal(),
        vault.file.secret("demo", "auth.token", stage="previous").reveal(),
    )
    assert ["editor.sh"] == [name for name, (_, data) in home.files().items() if TYPED.encode() in data]


def test_an_entry_comes_and_goes(home: Home) -> None:
    """A whole table can be written, with its secret in clear, or taken out."""
    edit(
        home,
        f"""cat >>"$1" <<'END'

[servers.fresh]
url = "https://fresh.example.com/mcp"
auth = {{ kind = "bearer", token = "{TYPED}" }}
END
""",
    )
    assert TYPED == home.open().file.secret("fresh", "auth.token").reveal()

    edit(home, ': >"$1"', "fresh")
    assert {"demo", "other"} == {*tree(home)["servers"]}


def test_one_entry_can_be_edited(home: Home) -> None:
    """``edit NAME`` shows that entry only, and takes nothing else back."""
    edit(home, """cp "$1" seen; sed -i 's/old words/new words/' "$1" """, "other")
    assert {"servers": {"other"}} == {
        key: {*held} for key, held in tomllib.loads((home.home / "seen").read_text()).items()
    }
    assert "new words" == tree(home)["servers"]["other"]["note"]

    said = edit(home, """printf '[servers.third]\\nurl = "https://x.example/"\\n' >>"$1" """, "other", code=8)
    assert "expected only servers.other" in said.stderr


REFUSED = [
    (
        8,
        "does not belong here",
        """a=$(grep -o '<sealed [0-9a-f]*>' "$1" | head -1); sed -i "s/<sealed.*>/$a/" "$1" """,
    ),
    (8, "does not belong here", """sed -i 's/<sealed [0-9a-f]*>/<sealed 00000000>/' "$1" """),
    (8, "not for editing", """sed -i 's/^role = .*/role = "reader"/' "$1" """),
    (8, "mcpvault set demo url", """sed -i 's/mcp.example.com/evil.example.com/' "$1" """),
    (8, "did you mean 'url'?", """sed -i 's/^url/urll/' "$1" """),
    (8, "did you mean 'note'?", """sed -i 's/^note/nte/' "$1" """),
    (8, "does not belong here", """sed -i 's/servers.other/servers.renamed/' "$1" """),
    (8, "an entry's name", """printf '[servers."a.b"]\\nurl = "https://x.example/"\\n' >>"$1" """),
    (6, "is not TOML (line 1)", """sed -i '1s/^/= /' "$1" """),
    (6, "is not TOML", """printf '\\357\\273\\277' | cat - "$1" >new; mv new "$1" """),
    (8, "leaves no UTF-8 text", """printf 'x = "\\377"\\n' >>"$1" """),
    (8, "returned 3", "exit 3"),
    (8, "returned -9", "kill -9 $$"),
    (8, "no such file", 'rm "$1"'),
]


@pytest.mark.parametrize(("code", "says", "script"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_is_refused(home: Home, code: int, says: str, script: str) -> None:
    """Without a terminal the first problem ends it: one line, the right exit code, nothing written or left behind."""
    vault = home.vault.read_bytes()
    done = edit(home, script, code=code)

    assert (says in done.stderr, "") == (True, done.stdout)
    assert len(done.stderr.splitlines()) <= 2
    assert vault == home.vault.read_bytes()


@pytest.mark.parametrize("named", ["no-such-editor-here", "'", "   "])
def test_an_editor_that_cannot_be_started(home: Home, named: str) -> None:
    """The hint says which variable names it."""
    assert "EDITOR" in home.refused("edit", code=8, EDITOR=named) or "set it" in home.refused(
        "edit", code=8, EDITOR=named
    )


def test_visual_wins_over_editor(home: Home) -> None:
    """Both may have options of their own."""
    home.run("edit", EDITOR="false", VISUAL="sed -i -e 's/old words/new words/'")

    assert "new words" == tree(home)["servers"]["other"]["note"]


def test_the_editor_gets_none_of_our_secrets(home: Home) -> None:
    """Key variables and the credentials folder are not handed on."""
    key = home.key.read_text().strip()
    home.key.rename(home.home / "moved")

    edit(home, "env >seen", MCPVAULT_KEY=key, CREDENTIALS_DIRECTORY="/nonexistent")

    names = {line.partition("=")[0] for line in (home.home / "seen").read_text().splitlines()}
    assert {"MCPVAULT_KEY", "CREDENTIALS_DIRECTORY"} & names == set()
    assert key not in (home.home / "seen").read_text()


# Breaks the file when it is run first, and mends it when it is run again.
TWICE = """
if [ -e once ]; then sed -i 's/^= //' "$1"; sed -i 's/old words/new words/' "$1"
else touch once; sed -i '1s/^/= /' "$1"; fi
"""


def test_on_a_terminal_a_mistake_is_shown_again(home: Home) -> None:
    """The problem is told, the text comes back as it was left, and is taken when it is right."""
    shown = home.talk("edit", answers=[("Edit it again? [Y/n]: ", "\n")], EDITOR=editor(home, TWICE))

    assert "mcpvault: warning: the edited text is not TOML (line 1)" in shown
    assert shown.endswith("changed\r\n")
    assert "new words" == tree(home)["servers"]["other"]["note"]


@pytest.mark.parametrize(("typed", "code"), [("n\n", 6), (INTERRUPT, 130)])
def test_on_a_terminal_one_can_give_up(home: Home, typed: str, code: int) -> None:
    """A no ends with the problem's exit code, ctrl-C with 130; the vault is as it was."""
    before = home.vault.read_bytes()
    home.talk("edit", answers=[("Edit it again? [Y/n]: ", typed)], code=code, EDITOR=editor(home, TWICE))

    assert before == home.vault.read_bytes()


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGTERM, -signal.SIGTERM, b"mcpvault: ended by SIGTERM\n"),
        (signal.SIGHUP, -signal.SIGHUP, b"mcpvault: ended by SIGHUP\n"),
        (signal.SIGINT, 130, b"mcpvault: interrupted\n"),
    ],
)
def test_a_signal_leaves_no_text_behind(home: Home, number: int, code: int, told: bytes) -> None:
    """Killed while the editor is open, it removes the file with what was typed, and ends as it was told to."""
    script = editor(home, f"""echo '{TYPED}' >>"$1"; echo up; read -r line""")
    command, env = home.command(("edit",), {"EDITOR": script, "XDG_RUNTIME_DIR": str(home.home / "run")})
    process = subprocess.Popen(
        command, env=env, cwd=home.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        assert b"up\n" == process.stderr.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=LONGEST)

    assert (code, told) == (process.returncode, said.lstrip(b"\n"))
    assert [] == [*(home.home / "run").iterdir()]


def test_a_dry_run_writes_nothing(home: Home) -> None:
    """It tells whether the text would pass."""
    vault = home.vault.read_bytes()
    done = edit(home, """sed -i 's/old words/new words/' "$1" """, "--dry-run", "--json")

    assert {"changed": True, "dry_run": True} == json.loads(done.stdout)
    assert vault == home.vault.read_bytes()


def test_new_comments_are_said_to_be_lost(home: Home) -> None:
    """Comments belong into the file itself; who writes one here is told, whatever else was written."""
    done = edit(home, """echo '# a remark' >>"$1" """)
    assert ("nothing changed\n", True) == (done.stdout, "comments" in done.stderr)

    done = edit(home, """sed -i 's/old words"/new words" # a remark/' "$1" """)
    assert ("changed\n", True) == (done.stdout, "comments" in done.stderr)

    done = edit(home, """sed -i 's/new words/ticket #4/' "$1" """)
    assert ("changed\n", "") == (done.stdout, done.stderr)


def test_carriage_returns_are_kept(home: Home) -> None:
    """A vault from Windows is shown and written with its line ends."""
    home.vault.write_bytes(home.vault.read_bytes().replace(b"\n", b"\r\n"))

    edit(home, """cp "$1" seen; sed -i 's/old words/new words/' "$1" """)

    for data in (home.vault.read_bytes(), (home.home / "seen").read_bytes()):
        assert data.count(b"\n") == data.count(b"\r\n")
    assert "new words" == tree(home)["servers"]["other"]["note"]


def test_an_unknown_name_opens_no_editor(home: Home) -> None:
    """It gets a suggestion instead."""
    assert "did you mean 'other'?" in home.refused("edit", "othr", code=8, EDITOR="touch opened")
    assert not (home.home / "opened").exists()


def meanwhile(home: Home, words: str, script: str) -> str:
    """Return a script that edits, and on its first run lets somebody else change the vault with *words* meanwhile."""
    (home.home / "first.sh").write_text(f"{sys.executable} -m mcpvault {words}\n")
    return f"[ -e once ] || {{ touch once; sh first.sh >&2; }}; {script}"


@pytest.mark.parametrize("name", [(), ("other",)])
def test_what_others_change_meanwhile_stays(home: Home, name: tuple[str, ...]) -> None:
    """Another entry, and another field of the same entry: both changes are in the file, and it opens."""
    script = meanwhile(home, "set other headers.X-Team ops; sh second.sh", """sed -i 's/old words/new words/' "$1" """)
    (home.home / "second.sh").write_text(f"{sys.executable} -m mcpvault set demo note theirs")

    assert "changed\n" == edit(home, script, *name).stdout

    entries = tree(home)["servers"]
    assert ("new words", "ops", "theirs") == (
        entries["other"]["note"], entries["other"]["headers"]["X-Team"], entries["demo"]["note"]
    )  # fmt: skip
    assert KEY == home.open().file.secret("other", "headers.X-API-Key").reveal()


def kept(home: Home) -> Path:
    """Return the one text that was kept."""
    [path] = home.state.glob("edited-*.toml")
    return path


def test_a_conflict_keeps_what_was_typed(home: Home) -> None:
    """Both changed one field: exit 7 names it, the vault is the other's, the text lies in a private file."""
    script = meanwhile(home, "set other note theirs", f"""sed -i 's/old words/{TYPED}/' "$1" """)

    said = edit(home, script, code=7).stderr

    assert "servers.other.note: changed by somebody else as well" in said
    assert f"rm {kept(home)}" in said
    assert 0o600 == stat.S_IMODE(kept(home).stat().st_mode)
    assert TYPED in kept(home).read_text()
    assert "mv1." not in kept(home).read_text()
    assert "theirs" == tree(home)["servers"]["other"]["note"]
    assert f"state.edited\t{kept(home)}" in home.run("doctor", "--offline").stdout


def test_a_secret_typed_while_the_keys_change_is_for_the_new_keys(home: Home) -> None:
    """Somebody else's ``rekey`` and the typed secret are both in the vault."""
    script = meanwhile(home, "rekey --yes", f"""sed -i 's/^token = .*/token = "{TYPED}"/' "$1" """)

    edit(home, script)

    vault = home.open()
    assert 2 == vault.document.header.epoch
    assert (TYPED, KEY) == (
        vault.file.secret("demo", "auth.token").reveal(),
        vault.file.secret("other", "headers.X-API-Key").reveal(),
    )


def test_a_vault_that_is_gone_takes_no_text_with_it(home: Home) -> None:
    """Whatever has become of the file meanwhile, what was typed is kept."""
    said = edit(home, f"""rm '{home.vault}'; sed -i 's/old words/{TYPED}/' "$1" """, code=6).stderr

    assert str(kept(home)) in said
    assert TYPED in kept(home).read_text()


def test_on_a_terminal_a_conflict_is_decided_there(home: Home) -> None:
    """The vault as it is now is shown beside; what is saved then stands, and nothing else of it is undone."""
    script = meanwhile(
        home, "set other note theirs; sh second.sh", """cp "$2" seen 2>/dev/null; sed -i 's/old words/mine/' "$1" """
    )
    (home.home / "second.sh").write_text(f"{sys.executable} -m mcpvault set demo note theirs")

    shown = home.talk("edit", answers=[("Edit it again? [Y/n]: ", "\n")], EDITOR=editor(home, script))

    assert "servers.other.note: changed by somebody else as well" in shown
    assert 2 == (home.home / "seen").read_text().count('"theirs"')
    assert ("mine", "theirs") == (tree(home)["servers"]["other"]["note"], tree(home)["servers"]["demo"]["note"])


def test_no_editor_is_guessed_without_a_terminal(home: Home) -> None:
    """A cron job never waits for vi: where no variable names an editor, it is a usage error."""
    said = home.refused("edit", code=2)

    assert "there is no terminal for an editor" in said
    assert "set EDITOR" in said


@pytest.mark.parametrize("words", [("--json",), ()])
def test_an_editor_never_writes_to_our_stdout(home: Home, words: tuple[str, ...]) -> None:
    """What it draws goes to stderr, so that a pipe gets our answer alone."""
    done = edit(home, """printf '\\033[2J drawn\\n'; sed -i 's/old words/new words/' "$1" """, *words)

    assert "drawn" not in done.stdout
    assert "drawn" in done.stderr
    assert not words or {"changed": True, "dry_run": False} == json.loads(done.stdout)


def test_an_editor_draws_on_the_terminal_that_stdin_is(home: Home) -> None:
    """With stdout in a file, an editor that was started on a terminal can still be used."""
    script = editor(home, """test -t 1 && printf 'drawn\\n'; sed -i 's/old words/new words/' "$1" """)
    (home.home / "to_file.sh").write_text(f'{sys.executable} -m mcpvault edit --json >"$HOME/out"\n')
    env = home_env(home.home) | {"EDITOR": script}

    done = subprocess.run(
        ["script", "-qec", "sh to_file.sh", "/dev/null"], env=env, cwd=home.home, capture_output=True, timeout=LONGEST,
        check=True,
    )  # fmt: skip

    assert b"drawn" in done.stdout
    assert {"changed": True, "dry_run": False} == json.loads((home.home / "out").read_text())


# Its first run meets a change of the same note, its second a newer one while it breaks the file, its third mends it.
THRICE = """
note() {{ {python} -m mcpvault set other note "$1" >&2; }}
if [ -e twice ]; then sed -i 's/^= //' "$1"
elif [ -e once ]; then touch twice; note unseen; sed -i '1s/^/= /' "$1"
else touch once; note theirs; sed -i 's/old words/mine/' "$1"; fi
"""


def test_on_a_terminal_only_what_was_seen_is_overruled(home: Home) -> None:
    """A change that came after the text beside was made is a conflict again, whatever else went wrong between."""
    script = editor(home, THRICE.format(python=sys.executable))
    again = "Edit it again? [Y/n]: "

    home.talk("edit", answers=[(again, "\n"), (again, "\n"), (again, "n\n")], code=7, EDITOR=script)

    assert "unseen" == tree(home)["servers"]["other"]["note"]


@pytest.mark.parametrize(
    ("says", "typed"),
    [
        ("nested too deeply", "x = " + 5000 * "["),
        ("nested too deeply", "[servers.other.x-a" + 5000 * ".a" + "]"),
        ("not TOML", "[servers.other]\nx-n = " + 5000 * "9"),
        ("nested too deeply", "[servers.other]\nx-n = " + 500 * "[" + 500 * "]"),
    ],
    ids=["brackets", "dotted keys", "digits", "arrays"],
)
def test_a_text_that_no_program_can_walk_is_kept(home: Home, says: str, typed: str) -> None:
    """It is refused as any other slip in TOML, and what was typed is not lost."""
    (home.home / "typed").write_text(f"{typed}\n")
    said = edit(home, """cat typed >"$1" """, code=6).stderr

    assert f"the edited text is {says}" in said
    assert f"{typed}\n" == kept(home).read_text()


def test_an_integer_that_cannot_be_printed_is_refused(home: Home) -> None:
    """One in hexadecimal may be longer than Python writes out."""
    said = edit(home, f"""sed -i 's/^note = "old.*/x-n = 0x{5000 * "f"}/' "$1" """, code=8).stderr

    assert "servers.other.x-n: expected an integer of 64 bits" in said


def test_a_changed_type_is_a_change(home: Home) -> None:
    """1 and true are equal to Python; the file, and the log, tell them apart."""
    edit(home, """sed -i 's/^note = "old.*/x-n = 1/' "$1" """)

    assert "changed\n" == edit(home, """sed -i 's/^x-n = 1/x-n = true/' "$1" """, "other").stdout

    assert tree(home)["servers"]["other"]["x-n"] is True
    changes = [each for each in json.loads(home.run("audit", "show", "--json").stdout) if each["ev"] == "change"]
    assert {"other": ["x-n"]} == changes[-1]["fields"]
