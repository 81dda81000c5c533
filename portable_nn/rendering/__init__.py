"""Networks as people see them: pictures, text for other programs, notation, the chain rule and layers as tables.

What is shown comes as a small protocol, so that networks can use this room for their own methods.
"""
