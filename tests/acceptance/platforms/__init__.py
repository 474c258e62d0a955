"""What people can do on every platform, written once and run on each: the whole program, driven through its clients.

`platform.py` has what a client can do, `abilities.py` what a platform cannot, and one module a platform how it is done
there. `thread.py` has the verbs of the tests, `house.py` the program that runs.
"""
