"""The only place that draws: pictures and pages made of what the parts measured.

The parts hand over numbers; what is drawn here names its own format.
"""
