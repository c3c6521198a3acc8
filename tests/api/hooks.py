"""How an upload is written, as the bytes that it is, and which answers are errors of ours."""

import schemathesis


@schemathesis.serializer("application/vnd.outcall.artifacts")
def artifacts(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.check
def no_error_of_ours(context, response, case):
    """A 503 says in its envelope what is not there just now, such as Docker's engine, which no test here starts."""
    if response.status_code == 503:
        answer = response.json()
        assert answer["success"] is False and answer["error"], "a 503 says why"
    else:
        assert response.status_code < 500, f"an answer of {response.status_code}"
