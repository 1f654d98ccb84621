"""Launch buttons need a public repository: without an address in ``_config.yml`` there are none."""


def setup(app):
    app.connect("config-inited", without_address)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def without_address(app, config):
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options["launch_buttons"] = {}
