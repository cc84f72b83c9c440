.PHONY: run test lint bench
run:
	python app.py
test:
	pytest -q
lint:
	ruff format --check . && ruff check . && mypy
bench:
	python benchmarks/speed.py --photos ../shared/photos/people && python benchmarks/decide.py
