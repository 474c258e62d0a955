"""The fault suite: the whole program as processes, faults at random points, and an oracle that looks at what is left.

`python -m tests.faults --count 200` runs that many random schedules, eight at a time on one stack; the seed of every
round is printed, and `--seed N --count 8` runs that round again. `schedule.py` draws what happens, `stack.py` has
the processes, `moody.py` the surface that fails, `drive.py` plays the people, `oracle.py` judges. With
`--surface slack` or `discord` the same schedules are played on that platform's double, with the bot among the
processes: `platforms/`.
"""
