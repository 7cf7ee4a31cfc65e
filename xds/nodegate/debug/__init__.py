"""What the control plane lets others see: probes, metrics' raw figures, and debug pages for people and programs.

Nothing here changes anything: all methods but GET are refused. Private keys are never shown.
"""
