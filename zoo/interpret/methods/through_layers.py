"""The methods that follow attention weights alone through all layers, by name."""

from attention_zoo.interpret.methods.flow import flow
from attention_zoo.interpret.methods.rollout import rollout

THROUGH_LAYERS = {"rollout": rollout, "flow": flow}
