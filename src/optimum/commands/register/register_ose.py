"""Registers `optimum-cli ose`."""

from optimum_ose.commands.root import OSECommand

REGISTER_COMMANDS = [OSECommand]
