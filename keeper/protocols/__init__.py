"""Lending protocols, one folder each.

A folder ``<name>`` has ``parameters.py`` with the dataclass ``Parameters``, what a deployment's
configuration must say, and ``adapter.py`` with ``build``. A new folder is found by its name: no
other file is edited.
"""
