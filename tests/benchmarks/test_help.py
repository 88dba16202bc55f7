"""What --help of every command says of defaults."""

from __future__ import annotations

from importlib import import_module

import pytest

from benchmarks.__main__ import COMMANDS
from benchmarks.speed.__main__ import WHAT

CALLS = {name: (one.module, one.words) for name, one in COMMANDS.items()}
CALLS |= {f"speed {name}": ("benchmarks.speed.__main__", (name,)) for name in WHAT}


@pytest.mark.parametrize("name", CALLS)
def test_no_default_is_empty(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Neither `(default: )` nor `(default: None)`, which tell nothing."""
    module, words = CALLS[name]
    monkeypatch.setattr("sys.argv", [name, *words, "--help"])
    with pytest.raises(SystemExit) as stop:
        import_module(module).main()
    assert not stop.value.code
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "help" in shown
    assert "(default: )" not in shown
    assert "(default: None)" not in shown
