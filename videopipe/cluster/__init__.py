"""The run over many videos on Ray."""

from videopipe.cluster.executor import RayActors, choose_executor

__all__ = ["RayActors", "choose_executor"]
