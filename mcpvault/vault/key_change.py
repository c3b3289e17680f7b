"""
The half of a change that is about keys: who has a way in, in which role, and when a new epoch begins.

Decides which slots there may be. Leaves the arithmetic of an epoch to ``rekeying``, and entries to ``change``.

Spec: SPEC §6, §14.2; house rule 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.errors import ConfigurationError
from mcpvault.suggestion import did_you_mean
from mcpvault.vault import primitives, slots
from mcpvault.vault.documents import timestamp
from mcpvault.vault.rekeying import begin_epoch
from vault_schema import Slot

if TYPE_CHECKING:
    from mcpvault.vault.slots import NewSlot, Role
    from mcpvault.vault.vaultfile import VaultFile


class KeyChange:
    """A copy of the vault's tree, ``tree``, and the ``keys`` that it is to be signed with."""

    def __init__(self, vault: VaultFile) -> None:
        self.vault = vault
        tree = vault.document.tree
        self.tree: dict[str, Any] = {**tree, "vault": dict(tree["vault"])}
        if "servers" in tree:
            self.tree["servers"] = dict(tree["servers"])
        self.keys = vault.keys

    def add_slot(self, new: NewSlot) -> None:
        """
        Add a way in.

        Raises:
            ConfigurationError: There is a slot of that id, or of that key.
        """
        seed = self.keys.root_seed
        held: Sequence[Mapping[str, Any]] = self.tree["vault"]["slots"]
        pub = primitives.encode(new.public)
        for slot in held:
            if slot["id"].lower() == new.id.lower() or slot["pub"] == pub:
                raise ConfigurationError(
                    f"vault.slots: there is a slot {slot['id']!r} with that {'key' if slot['pub'] == pub else 'name'}"
                )
        if seed is not None:
            table = new.table(self.tree["vault"], self.keys.vault_key, seed, created=timestamp(self.vault.now))
            self.tree["vault"]["slots"] = [*held, table]

    def rekey(self, *, compromised: bool = False) -> None:
        """
        Begin a new epoch: a new vault key, every value sealed again, new boxes for all slots.

        Args:
            compromised: Others may know the old key: nothing of it is kept, and every secret is due.

        Raises:
            TamperedError: A sealed value does not open in its place.
        """
        self._begin_epoch(due="key compromised" if compromised else None, compromised=compromised)

    def remove_slots(self, ids: Sequence[str], *, compromised: bool = False) -> None:
        """
        Take ways in away: a new epoch without them, in which every secret is due; without an admin, a new root.

        Raises:
            ConfigurationError: There is no such slot, it is the one that is open, or no admin would be left.
            TamperedError: A sealed value does not open in its place.
        """
        gone = [self._slot(slot) for slot in ids]
        if any(slot["id"] == self.keys.slot.id for slot in gone):
            raise ConfigurationError(
                f"vault.slots: {self.keys.slot.id!r} is the slot that this key opens; you would know what comes next",
                hint="another admin removes it",
            )
        self._begin_epoch(
            removed=[slot["id"] for slot in gone],
            new_root=any(slot["role"] == "admin" for slot in gone),
            due="key compromised" if compromised else "slot removed",
            compromised=compromised,
        )

    def set_role(self, slot: str, role: Role) -> None:
        """
        Make a reader an admin, or an admin a reader; whoever was one knows the root, so that makes a new one.

        Raises:
            ConfigurationError: There is no such slot, or it is the one that is open.
            TamperedError: A sealed value does not open in its place.
        """
        found = self._slot(slot)
        if found["role"] == role:
            return
        if found["id"] == self.keys.slot.id:
            raise ConfigurationError(
                f"vault.slots: {found['id']!r} is the slot that this key opens", hint="another admin changes its role"
            )
        head = self.tree["vault"]
        head["slots"] = [{**each, "role": role} if each is found else each for each in head["slots"]]
        if role == "reader":
            self._begin_epoch(new_root=True)
        else:
            self.reseal_slots()

    def reseal_slots(self) -> None:
        """Make the boxes of all slots again for the same keys, and the pin of the slot that is open."""
        head, seed = self.tree["vault"], self.keys.root_seed
        assert seed is not None  # noqa: S101 -- a change is an admin's
        own = self.keys.slot.pub
        head["slots"] = [
            slots.reboxed(
                each, head, self.keys.vault_key, seed, private=self.keys.private if each["pub"] == own else None
            )
            for each in head["slots"]
        ]

    def replace_slot(self, new: NewSlot) -> None:
        """
        Give the slot of that name another key; its role stays. The vault key stays too: see ``rekey``.

        Raises:
            ConfigurationError: There is no such slot, or another one of that key.
        """
        old, head = self._slot(new.id), self.tree["vault"]
        place = head["slots"].index(old)
        head["slots"] = [slot for slot in head["slots"] if slot is not old]
        self.add_slot(new.replaced(id=old["id"], role=old["role"]))
        *others, made = head["slots"]
        head["slots"] = [*others[:place], made, *others[place:]]
        if old["id"] == self.keys.slot.id and new.private is not None:
            self.keys = self.keys.replaced(slot=Slot(**made), private=new.private)

    def _slot(self, name: str) -> dict[str, Any]:
        held: Sequence[dict[str, Any]] = self.tree["vault"]["slots"]
        for slot in held:
            if slot["id"].lower() == name.lower():
                return slot
        raise ConfigurationError(
            f"vault.slots: there is no slot {name!r}",
            hint=did_you_mean(name, [slot["id"] for slot in held]) or "run: mcpvault slots list",
        )

    def _begin_epoch(self, **how: Any) -> None:
        self.keys = begin_epoch(self.tree, self.keys, now=self.vault.now, **how)
