"""What this package adds to Metaflow. The conventions are Metaflow's: `metaflow.extension_support`."""

STEP_DECORATORS_DESC = [
    ("envbox", ".envbox.decorator.EnvboxDecorator"),
    ("envbox_conda", ".envbox.decorator.EnvboxCondaDecorator"),
]
FLOW_DECORATORS_DESC = [
    ("envbox_base", ".envbox.decorator.EnvboxBaseDecorator"),
    ("envbox_conda_base", ".envbox.decorator.EnvboxCondaBaseDecorator"),
]
ENVIRONMENTS_DESC = [("envbox", ".envbox.environment.EnvboxEnvironment")]
CLIS_DESC = [("envbox", ".envbox.cli.cli")]
