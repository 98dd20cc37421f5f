"""The torch engine: distributions, training and generation of one model on one or many processes.

A job is a folder of numbers (docs/formats.md, "Jobs of the torch engine"); so is its result. Text, templates, recipes and
fusion functions are the calling program's: whatever decides about them would have to be written, and kept equal, twice.
"""

FORMAT = "fusechat-torch-job-1"
