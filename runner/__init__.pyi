from runner.agents.protocol import Agent as Agent
from runner.agents.protocol import AgentContext as AgentContext
from runner.agents.protocol import Observation as Observation
from runner.clock import SystemClock as SystemClock
from runner.episode.environment import Episode as Episode
from runner.episode.workspace import workspace_files as workspace_files
from runner.faults import Fault as Fault
from runner.faults import InfrastructureFault as InfrastructureFault
from runner.grading.grade import grade_contents as grade_contents
from runner.job.setup import build_context as build_context
from runner.job.setup import build_rules as build_rules
from runner.job.setup import build_spec as build_spec
from runner.job.setup import load_task as load_task
from runner.records.episode import Limits as Limits
from runner.records.episode import ToolCall as ToolCall
from runner.records.episode import ToolResult as ToolResult
from runner.records.episode import Turn as Turn
from runner.records.episode import Usage as Usage
from runner.records.outcome import reward as reward
from runner.records.run import GradingConfig as GradingConfig
from runner.sandbox.engine import find_engine as find_engine
from runner.sandbox.fleet import Fleet as Fleet
from runner.sandbox.lock import all_cpus as all_cpus
from runner.settings import Settings as Settings
from runner.tasks.problem import Case as Case

PUBLIC: dict[str, str]
__version__: str
