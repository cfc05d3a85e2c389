"""`python -m keras_ganaccel` is `ganaccel`."""

from keras_ganaccel.cli.main import main

main()
