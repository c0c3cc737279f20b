from .catalog import TASKS as TASKS
from .catalog import Task as Task
from .catalog import find_task as find_task
