from .agents.protocol import Agent as Agent
from .agents.protocol import AgentContext as AgentContext
from .agents.protocol import Observation as Observation
from .clock import SystemClock as SystemClock
from .episode.environment import Episode as Episode
from .episode.workspace import workspace_files as workspace_files
from .faults import Fault as Fault
from .faults import InfrastructureFault as InfrastructureFault
from .grading.grade import grade_contents as grade_contents
from .job.setup import build_context as build_context
from .job.setup import build_rules as build_rules
from .job.setup import build_spec as build_spec
from .job.setup import load_task as load_task
from .records.episode import Limits as Limits
from .records.episode import ToolCall as ToolCall
from .records.episode import ToolResult as ToolResult
from .records.episode import Turn as Turn
from .records.episode import Usage as Usage
from .records.outcome import reward as reward
from .records.run import GradingConfig as GradingConfig
from .sandbox.engine import find_engine as find_engine
from .sandbox.fleet import Fleet as Fleet
from .sandbox.lock import all_cpus as all_cpus
from .settings import Settings as Settings
from .tasks.problem import Case as Case

__version__: str
__all__: list[str]
