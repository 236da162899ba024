"""The cases that this project ships.

``tutorial`` has a file per chapter, ``surface`` a file per section of torch.autograd's documentation.
"""
