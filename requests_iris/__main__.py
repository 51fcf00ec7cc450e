"""`python -m requests_iris` is `requests-iris`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="requests-iris")
