"""Worst-case stack of a program, from its ELF file (tools/check_stack.py is the command line).

frames.py reads from the disassembly how much each function pushes and whom it calls with how much pushed; pointers.py
finds out where calls through pointers lead; levels.py adds up the main loop and the interrupts that nest on it.
"""


class StackError(Exception):
    """The worst case cannot be computed; the message says why and what to do."""
