"""Reads a pipeline with a linter's parser: `read_nextflow.py DIR`. Prints the process and its container."""

import sys
from pathlib import Path

from reftrace import ConfigFile, Module

directory = Path(sys.argv[1])
module = Module.from_file(str(directory / "main.nf"))
(process,) = module.processes
(container,) = process.containers
print(process.name, container.simple_name)
ConfigFile.from_file(str(directory / "nextflow.config"))
