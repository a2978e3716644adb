FROM python:3.13-slim

WORKDIR /app
COPY . .

RUN apt-get update \
    && apt-get install -y build-essential libpq-dev \
    && pip install uv \
    && uv export --format requirements-txt -o requirements.txt \
    && pip install -r requirements.txt

CMD [ "gunicorn", "--bind", "0.0.0.0:8000", "app.wsgi" ]
