"""Errors that a user can act on; the command line prints them without a traceback."""


class UserError(Exception):
    """Something outside the code is wrong; the message says what to check."""


class DataError(UserError):
    """A data set is missing, in the wrong form, or too small for the recipe."""


class ConfigError(UserError):
    """A configuration file or command-line value is not usable."""


class CheckpointError(UserError):
    """A checkpoint is unreadable or belongs to another recipe."""


class DiskError(UserError):
    """A file cannot be written: no space, no permission, or something else in its place."""


class NanLoss(UserError):
    """The loss stopped being finite; the last good checkpoint is kept."""


class Stopped(UserError):
    """The user or the time limit ended a training before its schedule; its checkpoint is saved."""
