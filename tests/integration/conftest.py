from tests.stage.fixtures import chat, sandbox_host, stage

__all__ = ["chat", "sandbox_host", "stage"]
