"""From many frames to the few that a budget should be spent on.

``select("aks", candidates, 32)`` gives the positions of 32 frames. Every method is a class in a
file of its own, registered under its published name.
"""

from videopipe.select.aks import Aks
from videopipe.select.auto import Auto
from videopipe.select.b_vllm import BVllm
from videopipe.select.bolt import Bolt
from videopipe.select.candidates import Candidates
from videopipe.select.f2c import F2C
from videopipe.select.focus import Focus
from videopipe.select.landmarks import Landmarks
from videopipe.select.mdp3 import Mdp3
from videopipe.select.method import choose, group, method, methods, plan, select
from videopipe.select.plain import TopK, Uniform
from videopipe.select.q_frame import QFrame
from videopipe.select.quota import Quota
from videopipe.select.resolution import Footage, Grid, plan_resolution
from videopipe.select.selection import Picks, SelectedClip, Selection
from videopipe.select.space_aware import SpaceAware
from videopipe.select.vilamp import Vilamp
from videopipe.select.wfs_sb import WfsSb

__all__ = [
    "F2C",
    "Aks",
    "Auto",
    "BVllm",
    "Bolt",
    "Candidates",
    "Focus",
    "Footage",
    "Grid",
    "Landmarks",
    "Mdp3",
    "Picks",
    "QFrame",
    "Quota",
    "SelectedClip",
    "Selection",
    "SpaceAware",
    "TopK",
    "Uniform",
    "Vilamp",
    "WfsSb",
    "choose",
    "group",
    "method",
    "methods",
    "plan",
    "plan_resolution",
    "select",
]
