//! View 8: what warroom itself has to say, in tui-logger's smart widget.

use ratatui::{buffer::Buffer, layout::Rect, widgets::Widget};
use tui_logger::{TuiLoggerLevelOutput, TuiLoggerSmartWidget};

use crate::console::{state::State, theme::Role};

pub(super) fn draw(state: &State, buffer: &mut Buffer, area: Rect) {
    let theme = state.theme();
    TuiLoggerSmartWidget::default()
        .style(theme.style(Role::Text))
        .border_style(theme.style(Role::Rule))
        .highlight_style(theme.style(Role::Selected))
        .style_error(theme.style(Role::Down))
        .style_warn(theme.style(Role::Degraded))
        .style_info(theme.style(Role::Text))
        .style_debug(theme.style(Role::Muted))
        .style_trace(theme.style(Role::Muted))
        .title_target(" Targets ")
        .title_log(" Log ")
        .output_separator(' ')
        .output_timestamp(Some("%H:%M:%S".to_owned()))
        .output_level(Some(TuiLoggerLevelOutput::Long))
        .output_target(true)
        .output_file(false)
        .output_line(false)
        .state(&state.log.0)
        .render(area, buffer);
}
